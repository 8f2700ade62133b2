metadata description = 'The function app on Flex Consumption: what it runs on, how it scales, and every setting that it reads.'

param name string
param planName string
param location string
param tags object

@allowed(['22', '24'])
param nodeVersion string

param instanceMemoryMB int
param maximumInstanceCount int
param durableAlwaysReady int
param httpAlwaysReady int
param identityName string
param storageName string
param packageContainerName string
param serviceBusName string
param vaultName string
param applicationInsightsName string
param workspaceId string
param applicationId string
param cloudEnvironment string

@description('Empty for the app\'s own host name.')
param publicUrl string

@description('Settings that differ from the defaults below.')
param settings object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: serviceBusName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// Host name of the namespace, without scheme and port: https://NAME.servicebus.windows.net:443/
var serviceBusHost = split(split(namespace.properties.serviceBusEndpoint, '/')[2], ':')[0]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  // azd finds the app of the service `api` in azure.yaml by this tag.
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      runtime: { name: 'node', version: nodeVersion }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainerName}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: concat(
          durableAlwaysReady > 0 ? [{ name: 'durable', instanceCount: durableAlwaysReady }] : [],
          httpAlwaysReady > 0 ? [{ name: 'http', instanceCount: httpAlwaysReady }] : []
        )
      }
    }
  }
}

// Deployment is by Entra token; nobody has a password.
resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
  dependsOn: [scmPassword]
}

// What the Functions host reads. No secret: each connection names an endpoint and the identity to reach it with.
var hostSettings = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  AzureWebJobsDisableHomepage: 'true'
  ServiceBusConnection__fullyQualifiedNamespace: serviceBusHost
  ServiceBusConnection__credential: 'managedidentity'
  ServiceBusConnection__clientId: identity.properties.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
}

// What shared/config.ts reads; README.md says what each means.
var appSettings = {
  CLOUD_ENVIRONMENT: cloudEnvironment
  APPLICATION_ID: applicationId
  // A federated credential is good for a managed identity of the application's own tenant only, so it is this one.
  HOME_TENANT_ID: tenant().tenantId
  MANAGED_IDENTITY_CLIENT_ID: identity.properties.clientId
  STATE_STORAGE: storage.name
  SERVICE_BUS: serviceBusHost
  // Without the slash that the vault's own vaultUri ends with: references to secrets begin with it.
  PLATFORM_VAULT_URL: 'https://${vaultName}${environment().suffixes.keyvaultDns}'
  PUBLIC_URL: empty(publicUrl) ? 'https://${app.properties.defaultHostName}' : publicUrl
  CONSENT_CHECK_INTERVAL: 'PT5M'
  CONSENT_EXPIRY: 'P14D'
  CONSENTS_SCHEDULE: '0 30 4 * * *'
  SPF_SCHEDULE: '0 50 4 * * *'
  TASKS_SCHEDULE: '0 10 * * * *'
  AUDIT_ANCHORS_SCHEDULE: '0 5 * * * *'
  DIRECTORIES_SCHEDULE: '0 20 * * * *'
  DRIFT_SCHEDULE: '0 */15 * * * *'
  DRIFT_SHORTEST_INTERVAL: 'PT1H'
  DRIFT_LONGEST_INTERVAL: 'PT12H'
  DRIFT_REPAIRS_A_DAY: '3'
  PROBE_INTERVAL: 'PT30S'
  PROBE_DEADLINE: 'PT90M'
  BYPASS_SETTLE: 'PT5M'
  ADDRESS_SETTLE: 'PT30M'
  ADDRESS_RELEASE_AFTER: 'P7D'
  OFFBOARDING_SETTLE: 'PT30M'
  OFFBOARDING_DRAIN_DEADLINE: 'PT6H'
  CANARY_MAILBOX: 'none'
  RETRY_FIRST_WAIT: 'PT5S'
  RETRY_LONGEST_WAIT: 'PT2M'
  RETRY_TRIES: '12'
  OPERATION_DEADLINE: 'PT1H'
  GATEWAYS_SCHEDULE: '0 */5 * * * *'
  FLEET_SCHEDULE: '0 25 * * * *'
  OUTAGES_SCHEDULE: '0 2-59/5 * * * *'
  HEARTBEAT_INTERVAL: 'PT10M'
  BLOCKLISTS_SCHEDULE: '0 * * * * *'
  ROTATION_SCHEDULE: '0 0 3 * * *'
  NOTIFICATIONS_SCHEDULE: '15 */5 * * * *'
  DNS_BLOCKLISTS: 'default'
  BLOCKLISTS_INTERVAL: 'PT1H'
  DELISTING_FIRST_WAIT: 'PT15M'
  DELISTING_DEADLINE: 'P8D'
  DELISTING_PAUSED_LISTS: 'none'
  LISTING_CONFIRM_AFTER: 'PT1M'
  ROTATION_OVERLAP: 'PT24H'
  CERTIFICATE_OVERLAP: 'P7D'
  ACME_DIRECTORY: 'none'
  ACME_CONTACT: 'none'
  ACME_EXTERNAL_ACCOUNT: 'none'
  ACME_CHECK_INTERVAL: 'PT10S'
  CLIENT_SECRET_LIFETIME: 'P180D'
  LOG_LEVEL: 'information'
}

// The whole collection is replaced at each deployment: a setting made by hand in the portal goes.
resource configuration 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(hostSettings, appSettings, settings)
  dependsOn: [ftpPassword]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output name string = app.name
output publicUrl string = appSettings.PUBLIC_URL
