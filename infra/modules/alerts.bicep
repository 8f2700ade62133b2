metadata description = 'What a person has to hear of: dead letters, events that were not delivered, operations that failed, functions that fail, timers that stand still.'

param prefix string
param location string
param tags object

@description('Empty for no mail.')
param email string

@description('Action groups that get the alerts besides.')
param actionGroupIds string[]

param queueNames string[]
param serviceBusName string
param eventTopicName string
param workspaceId string

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: eventTopicName
}

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: '${prefix}-mail'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'gatehouse'
    emailReceivers: [{ name: 'operators', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var groups = concat(actionGroupIds, empty(email) ? [] : [mail.id])

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for queueName in queueNames: {
    name: '${prefix}-dead-letters-${queueName}'
    location: 'global'
    tags: tags
    properties: {
      description: 'Messages of the queue ${queueName} were given up. functions/${queueName}/README.md, "When it fails", says what to do.'
      severity: 2
      enabled: true
      autoMitigate: true
      scopes: [namespace.id]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'dead-letters'
            metricNamespace: 'Microsoft.ServiceBus/namespaces'
            metricName: 'DeadletteredMessages'
            dimensions: [{ name: 'EntityName', operator: 'Include', values: [queueName] }]
            operator: 'GreaterThan'
            threshold: 0
            timeAggregation: 'Maximum'
          }
        ]
      }
      actions: [for group in groups: { actionGroupId: group }]
    }
  }
]

resource undelivered 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-undelivered-events'
  location: 'global'
  tags: tags
  properties: {
    description: 'Event Grid gave events of the platform\'s vault up; they are in the container undelivered-events. The daily sweep finds what they were about.'
    severity: 3
    enabled: true
    autoMitigate: true
    scopes: [topic.id]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'undelivered'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: 'DeadLetteredCount'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [for group in groups: { actionGroupId: group }]
  }
}

// Each function's run is a row of AppRequests under the function's name; host.json keeps these out of sampling.
var queries = [
  {
    name: 'failed-operations'
    description: 'An operation failed, or a delisting needs a person: an activity ran whose work is to put that on record. GET /api/operations and GET /api/delistings say which and why.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: 'AppRequests | where Name matches regex "^(fail|escalate)[A-Z]"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'failing-functions'
    description: 'Functions throw. Steps note their failures and return, so this is a defect or a store that can\'t be reached.'
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
    query: 'AppRequests | where Success == false and (ResultCode == "0" or toint(ResultCode) >= 500)'
    operator: 'GreaterThan'
    threshold: 5
  }
  {
    name: 'poison-messages'
    description: 'A message can never be handled; the log line has its id, its queue and the reason, and so has the dead letter.'
    severity: 3
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message matches regex "^message .+ can\'t be handled: "'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'blind-blocklists'
    description: 'A blocklist could not be believed for six hours: nobody would know of a listing there. GET /api/blocklists says how it fails; the README of blocklists what to do.'
    severity: 3
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message has "a blocklist has been blind for hours"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'silent-timers'
    description: 'The fleet, the blocklists, standing tenants or notifications were not looked at for an hour: the app does not start, or its timers are stopped.'
    severity: 1
    frequency: 'PT15M'
    window: 'PT1H'
    query: 'AppRequests | where Name in ("pollGateways", "watchOutages", "pollBlocklists", "sweepDrift", "sweepNotifications") | distinct Name'
    operator: 'LessThan'
    threshold: 5
  }
]

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in queries: {
    name: '${prefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${prefix}-${rule.name}'
      description: rule.description
      severity: rule.severity
      enabled: true
      autoMitigate: true
      // The tables are there only after the first telemetry.
      skipQueryValidation: true
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: groups }
    }
  }
]
