metadata description = 'Everything Gatehouse needs in Azure: one resource group with the function app, its identity, its state, its queues, its vault and its alarms.'

targetScope = 'subscription'

@description('Name of this environment, such as production; names of resources derive from it.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Region of every resource. It has to offer Flex Consumption.')
@metadata({ azd: { type: 'location' } })
param location string

@description('Client id of the multi-tenant application; infra/README.md says how it is made.')
@minLength(36)
@maxLength(36)
param applicationId string

@description('Base URL that partners and admins reach the app at; empty for the function app\'s own host name.')
param publicUrl string = ''

@description('Where the clouds are: the name of a built-in environment, or an environment as JSON (shared/environment.ts).')
param cloudEnvironment string = environment().name

@description('Node version of the function app.')
@allowed(['22', '24'])
param nodeVersion string = '24'

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('How far the app may scale out. Flex Consumption takes nothing below 40.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that are always there for orchestrations and activities; 0 scales to nothing, and the first step then waits for a cold start.')
@minValue(0)
@maxValue(20)
param durableAlwaysReady int = 1

@description('Instances that are always there for HTTP; 0 scales to nothing.')
@minValue(0)
@maxValue(20)
param httpAlwaysReady int = 0

@description('Replication of the state: zones of one region, or a copy in the paired region as well.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GZRS'])
param storageReplication string = 'Standard_ZRS'

@description('For how many days nobody can change or delete an anchor of the audit log; as long as its entries are kept.')
@minValue(1)
@maxValue(146000)
param auditAnchorsKeptForDays int = 731

@description('True once the policy of the audit log\'s anchors is locked, as infra/README.md says: Azure takes no deployment of a locked one.')
param auditAnchorsLocked bool = false

@description('Gives the app Manage rights on the queues, so that Azure counts messages when it scales; without it, it adds an instance at a time.')
param countMessagesForScaling bool = false

@description('How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param logRetentionInDays int = 30

@description('Most gigabytes of logs a day; -1 for no limit.')
@minValue(-1)
param logDailyCapInGB int = 5

@description('Who gets mail when an alert fires; empty for nobody.')
param alertEmail string = ''

@description('Ids of action groups that get the alerts besides.')
param actionGroupIds string[] = []

@description('Settings that differ from production\'s defaults, by name; names and meanings are in README.md.')
param settings object = {}

@description('Tags of every resource.')
param tags object = {}

// Gatehouse's own queues; shared/messages has what travels in them.
var queueNames = ['delisting', 'notifications', 'rotation']
var token = uniqueString(subscription().id, environmentName, location)
var allTags = union(tags, { 'azd-env-name': environmentName })
var functionAppName = 'func-gatehouse-${token}'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-gatehouse-${environmentName}'
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-gatehouse-${token}'
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-gatehouse-${token}'
    applicationInsightsName: 'appi-gatehouse-${token}'
    location: location
    tags: allTags
    retentionInDays: logRetentionInDays
    dailyCapInGB: logDailyCapInGB
    publisherPrincipalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${token}'
    location: location
    tags: allTags
    replication: storageReplication
    auditAnchorsKeptForDays: auditAnchorsKeptForDays
    auditAnchorsLocked: auditAnchorsLocked
    appPrincipalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  name: 'service-bus'
  scope: group
  params: {
    name: 'sb-gatehouse-${token}'
    location: location
    tags: allTags
    queueNames: queueNames
    appPrincipalId: identity.outputs.principalId
    countMessagesForScaling: countMessagesForScaling
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: 'kv-${token}'
    location: location
    tags: allTags
    appPrincipalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vaultEvents 'modules/vault-events.bicep' = {
  name: 'vault-events'
  scope: group
  params: {
    topicName: 'evgt-gatehouse-${token}'
    location: location
    tags: allTags
    vaultName: vault.outputs.name
    serviceBusName: serviceBus.outputs.name
    queueName: 'rotation'
    storageName: storage.outputs.name
    deadLetterContainerName: storage.outputs.deadLetterContainerName
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    name: functionAppName
    planName: 'plan-gatehouse-${token}'
    location: location
    tags: allTags
    nodeVersion: nodeVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    durableAlwaysReady: durableAlwaysReady
    httpAlwaysReady: httpAlwaysReady
    identityName: identity.outputs.name
    storageName: storage.outputs.name
    packageContainerName: storage.outputs.packageContainerName
    serviceBusName: serviceBus.outputs.name
    vaultName: vault.outputs.name
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    workspaceId: monitoring.outputs.workspaceId
    applicationId: applicationId
    cloudEnvironment: cloudEnvironment
    publicUrl: publicUrl
    settings: settings
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    prefix: 'alert-gatehouse-${environmentName}'
    location: location
    tags: allTags
    email: alertEmail
    actionGroupIds: actionGroupIds
    queueNames: queueNames
    serviceBusName: serviceBus.outputs.name
    eventTopicName: vaultEvents.outputs.topicName
    workspaceId: monitoring.outputs.workspaceId
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_LOCATION string = location
output FUNCTION_APP_NAME string = functionApp.outputs.name
output PUBLIC_URL string = functionApp.outputs.publicUrl
output PLATFORM_VAULT_NAME string = vault.outputs.name
output SERVICE_BUS_NAME string = serviceBus.outputs.name
@description('Subject of the application\'s federated credential.')
output MANAGED_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output MANAGED_IDENTITY_CLIENT_ID string = identity.outputs.clientId
