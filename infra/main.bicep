// Everything that the azure profile needs, in one resource group: docs/reference/infrastructure.md.
// What is optional is off by default; who may do what stands in modules/access-*.bicep, one file for each group.

targetScope = 'resourceGroup'

@description('Name of this installation: dev, prod. Names that must be unique in Azure are made from it and the group.')
@minLength(2)
@maxLength(20)
param environmentName string

param location string = resourceGroup().location
param tags object = {}

// --- how large ---

@description('Replication of storage: Standard_LRS, Standard_ZRS.')
param storageSku string = 'Standard_LRS'

@description('Standard, or Premium: needed for private networking.')
param serviceBusSku string = 'Standard'

@description('Basic, Standard, or Premium: needed for private networking.')
param containerRegistrySku string = 'Basic'

@description('Memory of an instance of the function app: 512, 2048 or 4096.')
param functionMemoryMB int = 2048

param maximumInstances int = 40

@description('Days that deleted blobs can be brought back.')
param softDeleteDays int = 7

@description('Days that telemetry is kept.')
param retentionDays int = 30

@description('Gigabytes of telemetry a day, after which nothing more is taken until midnight; -1: no limit.')
param telemetryGbPerDay int = 5

// --- how chains run: docs/reference/settings.md ---

@description('Deliveries of a message before it is dead-lettered: of every queue, and what the app takes it to be.')
param maxDeliveryCount int = 5

param cellsInFlight int = 8
param callsInFlight int = 32
param lookSeconds int = 30

@description('Serverless compute of runs, such as Standard_E4ds_v4; empty: what Azure ML takes.')
param instanceType string = ''

@description('API servers of clusters that flows may be served in, by commas.')
param clusters string = ''

@description('Scope of the tokens for them; empty: that of AKS.')
param clusterTokenScope string = ''

@description('Public address of the app where it has a domain of its own; empty: the one that Azure gives it.')
param functionsUrl string = ''

// --- who is told ---

@description('Mail addresses of alerts and the budget, by commas.')
param alertMails string = ''

@description('What the group may cost a month, in the currency of the bill; 0: no budget.')
param monthlyBudget int = 0

// No default of this month: Azure refuses to move a budget's start, so that each deployment in a later month would fail.
@description('The first day of the month in which the budget is first made, YYYY-MM-01, and the same ever after; empty: no budget.')
param budgetStart string = ''

@description('Minutes that a chain may stay in one step before somebody is told.')
param stuckAfterMinutes int = 180

// --- people and pipelines ---

@description('Organisations of Azure DevOps whose pipelines may ask, by commas: https://dev.azure.com/<organisation>.')
param azureDevOps string = ''

@description('Service connections that act as the pipelines\' identity: objects of name, issuer and subject.')
param pipelineFederations array = []

@description('An Entra group that operates this installation by the command line; empty: none.')
param operatorsGroupId string = ''

@description('Whether mail is sent by Communication Services, which are made then.')
param communication bool = false

@description('Where mails lie while they are sent.')
param communicationDataLocation string = 'Europe'

@description('The sender, where mail goes by SMTP.')
param mailFrom string = ''

@description('smtp://[user@]host[:port]; with a user, the password is the secret smtp-password of the key vault.')
param smtp string = ''

@description('Whether cards are sent to the address in the secret webhook-url of the key vault.')
param webhook bool = false

@description('App registration by which people sign in before the approval page; empty: the link alone counts.')
param signInClientId string = ''

// --- what is optional ---

@description('Whether an Azure OpenAI resource is made, with the workspace\'s connection aoai to it.')
param openAi bool = false
param openAiModel string = 'gpt-4o-mini'
param openAiModelVersion string = '2024-07-18'

@description('Thousands of tokens a minute.')
param openAiCapacity int = 50

@description('Whether an Azure ML registry is made, in which promoted versions are shared.')
param machineLearningRegistry bool = false

@description('Whether flows are deployed to online endpoints of Azure ML.')
param onlineEndpoints bool = true

@description('Whether flows are served on App Service, as an identity that is made for them.')
param webApps bool = false

@description('Whether the app has images of served flows built in the container registry: for App Service and clusters.')
param servedImages bool = webApps

@description('Whether services are reached through a virtual network alone. Needs the Premium tiers.')
param privateNetwork bool = false

param networkAddresses object = {
  network: '10.70.0.0/24'
  functions: '10.70.0.0/25'
  endpoints: '10.70.0.128/25'
}

@description('With a private network: addresses that reach the queues all the same, such as those of Azure DevOps.')
param serviceBusAddresses array = []

var token = uniqueString(resourceGroup().id, environmentName)
var names = {
  app: 'id-app-${token}'
  workspace: 'id-ml-${token}'
  served: 'id-served-flows-${token}'
  pipelines: 'id-pipelines-${token}'
  data: 'stdata${token}'
  host: 'sthost${token}'
  lines: 'stml${token}'
  serviceBus: 'sb-${token}'
  vault: 'kv-${token}'
  workspaceVault: 'kvml-${token}'
  containerRegistry: 'cr${token}'
  machineLearning: 'mlw-${token}'
  machineLearningRegistry: 'mlr-${token}'
  openAi: 'oai-${token}'
  communication: 'acs-${token}'
  plan: 'plan-${token}'
  functionApp: 'func-${token}'
  logs: 'log-${token}'
  insights: 'appi-${token}'
  actionGroup: 'ag-${token}'
  alerts: 'alert-${token}'
  runsTopic: 'evgt-runs-${token}'
  datasetsTopic: 'evgt-datasets-${token}'
  network: 'vnet-${token}'
  budget: 'budget-${token}'
}
var allTags = union(tags, {
  'azd-env-name': environmentName
})
var mails = empty(alertMails) ? [] : split(alertMails, ',')
var keyEncryptionKey = 'genaiops'
var packages = 'packages'

// One name a queue: the namespace and the app's settings are both made from this.
var queues = {
  GENAIOPS_QUEUE_CHAIN_REQUESTS: 'chain-requests'
  GENAIOPS_QUEUE_CHAIN_EVENTS: 'chain-events'
  GENAIOPS_QUEUE_RUN_EVENTS: 'run-events'
  GENAIOPS_QUEUE_EXPERIMENTATION: 'experimentation'
  GENAIOPS_QUEUE_EVALUATION: 'evaluation'
  GENAIOPS_QUEUE_REGISTRATION: 'registration'
  GENAIOPS_QUEUE_DEPLOYMENT: 'deployment'
  GENAIOPS_QUEUE_REPORTING: 'reporting'
  GENAIOPS_QUEUE_NOTIFICATION: 'notification'
}

var zones = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  queue: 'privatelink.queue.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  file: 'privatelink.file.${environment().suffixes.storage}'
  serviceBus: 'privatelink.servicebus.windows.net'
  vault: 'privatelink.vaultcore.azure.net'
  containerRegistry: 'privatelink.azurecr.io'
  machineLearning: 'privatelink.api.azureml.ms'
  notebooks: 'privatelink.notebooks.azure.net'
  openAi: 'privatelink.openai.azure.com'
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    location: location
    tags: allTags
    names: names
    servedFlows: webApps
    pipelineFederations: pipelineFederations
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    tags: allTags
    names: names
    retentionDays: retentionDays
    dailyQuotaGb: telemetryGbPerDay
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    location: location
    tags: allTags
    names: names
    addresses: networkAddresses
    zones: [for zone in items(zones): zone.value]
  }
}

// What the product keeps. The app makes its other containers when it first writes to them.
module data 'modules/storage-account.bicep' = {
  name: 'data'
  params: {
    name: names.data
    location: location
    tags: allTags
    sku: storageSku
    containers: [
      'bundles'
      'chains'
      'datasets'
      'logs'
    ]
    softDeleteDays: softDeleteDays
    isPrivate: privateNetwork
  }
}

// What the Functions host keeps, and the app's packages.
module host 'modules/storage-account.bicep' = {
  name: 'host'
  params: {
    name: names.host
    location: location
    tags: allTags
    sku: storageSku
    containers: [
      packages
    ]
    softDeleteDays: softDeleteDays
    isPrivate: privateNetwork
  }
}

// The workspace's default datastore: lines and outputs of runs.
module lines 'modules/storage-account.bicep' = {
  name: 'lines'
  params: {
    name: names.lines
    location: location
    tags: allTags
    sku: storageSku
    containers: []
    softDeleteDays: softDeleteDays
    isPrivate: privateNetwork
  }
}

module vault 'modules/key-vault.bicep' = {
  name: 'vault'
  params: {
    name: names.vault
    location: location
    tags: allTags
    keys: [
      keyEncryptionKey
    ]
    isPrivate: privateNetwork
    logWorkspaceId: monitoring.outputs.logsId
  }
}

// A vault of its own, for Azure ML administers it.
module workspaceVault 'modules/key-vault.bicep' = {
  name: 'workspace-vault'
  params: {
    name: names.workspaceVault
    location: location
    tags: allTags
    keys: []
    isPrivate: privateNetwork
    logWorkspaceId: monitoring.outputs.logsId
  }
}

module containerRegistry 'modules/container-registry.bicep' = {
  name: 'container-registry'
  params: {
    name: names.containerRegistry
    location: location
    tags: allTags
    sku: containerRegistrySku
    isPrivate: privateNetwork
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  name: 'service-bus'
  params: {
    name: names.serviceBus
    location: location
    tags: allTags
    sku: serviceBusSku
    queues: [for queue in items(queues): queue.value]
    sessionQueues: [
      queues.GENAIOPS_QUEUE_CHAIN_EVENTS
    ]
    maxDeliveryCount: maxDeliveryCount
    isPrivate: privateNetwork
    allowedAddresses: serviceBusAddresses
    logWorkspaceId: monitoring.outputs.logsId
  }
}

module model 'modules/openai.bicep' = if (openAi) {
  name: 'openai'
  params: {
    name: names.openAi
    location: location
    tags: allTags
    model: openAiModel
    modelVersion: openAiModelVersion
    capacity: openAiCapacity
    isPrivate: privateNetwork
  }
}

module mail 'modules/communication.bicep' = if (communication) {
  name: 'communication'
  params: {
    name: names.communication
    tags: allTags
    dataLocation: communicationDataLocation
  }
}

module shared 'modules/machine-learning-registry.bicep' = if (machineLearningRegistry) {
  name: 'machine-learning-registry'
  params: {
    name: names.machineLearningRegistry
    location: location
    tags: allTags
  }
}

module accessWorkspace 'modules/access-workspace.bicep' = {
  name: 'access-workspace'
  params: {
    principalId: identities.outputs.workspacePrincipalId
    linesAccountName: lines.outputs.name
    insightsName: monitoring.outputs.insightsName
    vaultName: workspaceVault.outputs.name
    imagesRegistryName: containerRegistry.outputs.name
    openAiName: openAi ? model!.outputs.name : ''
  }
}

module machineLearning 'modules/machine-learning.bicep' = {
  name: 'machine-learning'
  params: {
    name: names.machineLearning
    location: location
    tags: allTags
    identityId: identities.outputs.workspaceId
    storageAccountId: lines.outputs.id
    keyVaultId: workspaceVault.outputs.id
    insightsId: monitoring.outputs.insightsId
    containerRegistryId: containerRegistry.outputs.id
    isPrivate: privateNetwork
    openAiEndpoint: openAi ? model!.outputs.endpoint : ''
    openAiId: openAi ? model!.outputs.id : ''
  }
  dependsOn: [
    accessWorkspace
  ]
}

module accessApp 'modules/access-app.bicep' = {
  name: 'access-app'
  params: {
    principalId: identities.outputs.appPrincipalId
    serviceBusName: serviceBus.outputs.name
    dataAccountName: data.outputs.name
    hostAccountName: host.outputs.name
    linesAccountName: lines.outputs.name
    machineLearningName: machineLearning.outputs.name
    insightsName: monitoring.outputs.insightsName
    vaultName: vault.outputs.name
    keyName: keyEncryptionKey
    machineLearningRegistryName: machineLearningRegistry ? shared!.outputs.name : ''
    imagesRegistryName: servedImages ? containerRegistry.outputs.name : ''
    servedIdentityName: identities.outputs.servedName
    onlineEndpoints: onlineEndpoints
    communicationName: communication ? mail!.outputs.name : ''
    openAiName: openAi ? model!.outputs.name : ''
  }
}

module functions 'modules/function-app.bicep' = {
  name: 'functions'
  params: {
    names: names
    location: location
    tags: allTags
    identityId: identities.outputs.appId
    packages: '${host.outputs.blobEndpoint}${packages}'
    memoryMB: functionMemoryMB
    maximumInstances: maximumInstances
    subnetId: privateNetwork ? network!.outputs.functionsSubnetId : ''
    signInClientId: signInClientId
    // An empty value counts as none.
    settings: union(queues, {
      AzureWebJobsStorage__accountName: host.outputs.name
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identities.outputs.appClientId
      ServiceBus__fullyQualifiedNamespace: serviceBus.outputs.host
      ServiceBus__credential: 'managedidentity'
      ServiceBus__clientId: identities.outputs.appClientId
      Storage__blobServiceUri: data.outputs.blobEndpoint
      Storage__queueServiceUri: data.outputs.queueEndpoint
      Storage__credential: 'managedidentity'
      Storage__clientId: identities.outputs.appClientId
      AZURE_CLIENT_ID: identities.outputs.appClientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${identities.outputs.appClientId}'
      AzureWebJobsDisableHomepage: 'true'
      PYTHON_THREADPOOL_THREAD_COUNT: '16'
      OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: identities.outputs.appClientId
      GENAIOPS_PROFILE: 'azure'
      GENAIOPS_SUBSCRIPTION_ID: subscription().subscriptionId
      GENAIOPS_RESOURCE_GROUP: resourceGroup().name
      GENAIOPS_ML_WORKSPACE: machineLearning.outputs.name
      GENAIOPS_ML_REGISTRY: machineLearningRegistry ? shared!.outputs.name : ''
      GENAIOPS_ML_INSTANCE_TYPE: instanceType
      GENAIOPS_CONTAINER_REGISTRY: servedImages ? containerRegistry.outputs.loginServer : ''
      GENAIOPS_KEY_VAULT: vault.outputs.name
      GENAIOPS_KEY_ENCRYPTION_KEY: '${vault.outputs.uri}keys/${keyEncryptionKey}'
      GENAIOPS_CLUSTERS: clusters
      GENAIOPS_CLUSTER_TOKEN_SCOPE: clusterTokenScope
      GENAIOPS_MANAGEMENT_URL: environment().resourceManager
      GENAIOPS_FUNCTIONS_URL: functionsUrl
      GENAIOPS_MAX_DELIVERY_COUNT: string(maxDeliveryCount)
      GENAIOPS_CELLS_IN_FLIGHT: string(cellsInFlight)
      GENAIOPS_CALLS_IN_FLIGHT: string(callsInFlight)
      GENAIOPS_LOOK_SECONDS: string(lookSeconds)
      GENAIOPS_AZURE_DEVOPS: azureDevOps
      GENAIOPS_COMMUNICATION_ENDPOINT: communication ? mail!.outputs.endpoint : ''
      GENAIOPS_MAIL_FROM: communication ? mail!.outputs.sender : mailFrom
      GENAIOPS_SMTP: smtp
      GENAIOPS_SMTP_PASSWORD: contains(smtp, '@') ? '@Microsoft.KeyVault(VaultName=${vault.outputs.name};SecretName=smtp-password)' : ''
      GENAIOPS_WEBHOOK_URL: webhook ? '@Microsoft.KeyVault(VaultName=${vault.outputs.name};SecretName=webhook-url)' : ''
      GENAIOPS_ALERT_MAIL: empty(smtp) && !communication ? '' : alertMails
      GENAIOPS_SIGN_IN: empty(signInClientId) ? '' : 'entra'
    })
  }
  dependsOn: [
    accessApp
  ]
}

module accessOthers 'modules/access-others.bicep' = {
  name: 'access-others'
  params: {
    workspacePrincipalId: identities.outputs.workspacePrincipalId
    servedPrincipalId: identities.outputs.servedPrincipalId
    pipelinesPrincipalId: identities.outputs.pipelinesPrincipalId
    operatorsGroupId: operatorsGroupId
    serviceBusName: serviceBus.outputs.name
    requestsQueue: queues.GENAIOPS_QUEUE_CHAIN_REQUESTS
    dataAccountName: data.outputs.name
    machineLearningName: machineLearning.outputs.name
    vaultName: vault.outputs.name
    imagesRegistryName: containerRegistry.outputs.name
    openAiName: openAi ? model!.outputs.name : ''
  }
}

module events 'modules/events.bicep' = {
  name: 'events'
  params: {
    names: names
    location: location
    tags: allTags
    machineLearningName: machineLearning.outputs.name
    serviceBusName: serviceBus.outputs.name
    runEventsQueue: queues.GENAIOPS_QUEUE_RUN_EVENTS
    datasetsAccountId: data.outputs.id
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    names: names
    location: location
    tags: allTags
    mails: mails
    insightsId: monitoring.outputs.insightsId
    serviceBusId: serviceBus.outputs.id
    stuckAfterMinutes: stuckAfterMinutes
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0 && !empty(budgetStart)) {
  name: 'budget'
  params: {
    name: names.budget
    amount: monthlyBudget
    startDate: budgetStart
    mails: mails
    actionGroupId: alerts.outputs.actionGroupId
  }
}

module privateEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'private-endpoints'
  params: {
    location: location
    tags: allTags
    subnetId: network!.outputs.endpointsSubnetId
    targets: concat([
      {
        name: 'pe-data-blob'
        id: data.outputs.id
        group: 'blob'
        zones: [ zones.blob ]
      }
      {
        name: 'pe-data-queue'
        id: data.outputs.id
        group: 'queue'
        zones: [ zones.queue ]
      }
      {
        name: 'pe-host-blob'
        id: host.outputs.id
        group: 'blob'
        zones: [ zones.blob ]
      }
      {
        name: 'pe-host-queue'
        id: host.outputs.id
        group: 'queue'
        zones: [ zones.queue ]
      }
      {
        name: 'pe-host-table'
        id: host.outputs.id
        group: 'table'
        zones: [ zones.table ]
      }
      {
        name: 'pe-lines-blob'
        id: lines.outputs.id
        group: 'blob'
        zones: [ zones.blob ]
      }
      {
        name: 'pe-lines-file'
        id: lines.outputs.id
        group: 'file'
        zones: [ zones.file ]
      }
      {
        name: 'pe-service-bus'
        id: serviceBus.outputs.id
        group: 'namespace'
        zones: [ zones.serviceBus ]
      }
      {
        name: 'pe-vault'
        id: vault.outputs.id
        group: 'vault'
        zones: [ zones.vault ]
      }
      {
        name: 'pe-workspace-vault'
        id: workspaceVault.outputs.id
        group: 'vault'
        zones: [ zones.vault ]
      }
      {
        name: 'pe-container-registry'
        id: containerRegistry.outputs.id
        group: 'registry'
        zones: [ zones.containerRegistry ]
      }
      {
        name: 'pe-machine-learning'
        id: machineLearning.outputs.id
        group: 'amlworkspace'
        zones: [ zones.machineLearning, zones.notebooks ]
      }
    ], openAi ? [
      {
        name: 'pe-openai'
        id: model!.outputs.id
        group: 'account'
        zones: [ zones.openAi ]
      }
    ] : [])
  }
}

// What azd keeps in its environment: for the second phase, for pipelines, and, under their own names, the settings by
// which the command line works on this installation.
output FUNCTION_APP string = functions.outputs.name
output DATASETS_TOPIC string = events.outputs.datasetsTopicName
output PIPELINES_CLIENT_ID string = identities.outputs.pipelinesClientId
output SERVED_FLOWS_IDENTITY string = identities.outputs.servedName
output KEY_VAULT string = vault.outputs.name
output ServiceBus__fullyQualifiedNamespace string = serviceBus.outputs.host
output Storage__blobServiceUri string = data.outputs.blobEndpoint
output GENAIOPS_SUBSCRIPTION_ID string = subscription().subscriptionId
output GENAIOPS_RESOURCE_GROUP string = resourceGroup().name
output GENAIOPS_ML_WORKSPACE string = machineLearning.outputs.name
output GENAIOPS_KEY_ENCRYPTION_KEY string = '${vault.outputs.uri}keys/${keyEncryptionKey}'
output GENAIOPS_FUNCTIONS_URL string = empty(functionsUrl) ? functions.outputs.url : functionsUrl
