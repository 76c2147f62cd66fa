// What the app may do: docs/reference/roles.md says what each role is for.

@description('The app\'s identity.')
param principalId string

param serviceBusName string
param dataAccountName string
param hostAccountName string
param linesAccountName string
param machineLearningName string
param insightsName string
param vaultName string

@description('The key under which the installation\'s own keys lie wrapped.')
param keyName string

@description('The Azure ML registry; empty: none.')
param machineLearningRegistryName string

@description('The container registry in which the app has images built; empty: it builds none.')
param imagesRegistryName string

@description('The identity of flows that are served on App Service; empty: none are.')
param servedIdentityName string

@description('Whether flows are deployed to online endpoints of Azure ML.')
param onlineEndpoints bool

@description('Communication Services, which sends mail; empty: none.')
param communicationName string

@description('Azure OpenAI; empty: none.')
param openAiName string

var roles = loadJsonContent('../roles.json')
var webApps = !empty(servedIdentityName)

resource bus 'Microsoft.ServiceBus/namespaces@2022-10-01-preview' existing = {
  name: serviceBusName
}

resource data 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataAccountName
}

resource host 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: hostAccountName
}

resource lines 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: linesAccountName
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' existing = {
  name: machineLearningName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName

  resource key 'keys@2023-07-01' existing = {
    name: keyName
  }
}

resource shared 'Microsoft.MachineLearningServices/registries@2024-04-01' existing = if (!empty(machineLearningRegistryName)) {
  name: empty(machineLearningRegistryName) ? 'none' : machineLearningRegistryName
}

resource images 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = if (!empty(imagesRegistryName)) {
  name: empty(imagesRegistryName) ? 'none' : imagesRegistryName
}

resource served 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = if (!empty(servedIdentityName)) {
  name: empty(servedIdentityName) ? 'none' : servedIdentityName
}

resource mail 'Microsoft.Communication/communicationServices@2023-04-01' existing = if (!empty(communicationName)) {
  name: empty(communicationName) ? 'none' : communicationName
}

resource openAi 'Microsoft.CognitiveServices/accounts@2024-10-01' existing = if (!empty(openAiName)) {
  name: empty(openAiName) ? 'none' : openAiName
}

resource onBus 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Azure Service Bus Data Receiver'
  'Azure Service Bus Data Sender'
]: {
  name: guid(bus.id, principalId, role)
  scope: bus
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onData 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Storage Blob Data Contributor'
  'Storage Blob Data Owner'
  'Storage Queue Data Contributor'
]: {
  name: guid(data.id, principalId, role)
  scope: data
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Storage Blob Data Owner'
  'Storage Queue Data Contributor'
  'Storage Table Data Contributor'
]: {
  name: guid(host.id, principalId, role)
  scope: host
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onLines 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Storage Blob Data Contributor'
]: {
  name: guid(lines.id, principalId, role)
  scope: lines
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'AzureML Data Scientist'
  'Azure Machine Learning Workspace Connection Secrets Reader'
]: {
  name: guid(workspace.id, principalId, role)
  scope: workspace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Monitoring Metrics Publisher'
]: {
  name: guid(insights.id, principalId, role)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Key Vault Secrets User'
]: {
  name: guid(vault.id, principalId, role)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in [
  'Key Vault Crypto User'
]: {
  name: guid(vault::key.id, principalId, role)
  scope: vault::key
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onShared 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(machineLearningRegistryName) ? [
  'AzureML Registry User'
] : []): {
  name: guid(shared.id, principalId, role)
  scope: shared
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(imagesRegistryName) ? [
  'Container Registry Tasks Contributor'
] : []): {
  name: guid(images.id, principalId, role)
  scope: images
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onServed 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (webApps ? [
  'Managed Identity Operator'
] : []): {
  name: guid(served.id, principalId, role)
  scope: served
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onMail 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(communicationName) ? [
  'Communication and Email Service Owner'
] : []): {
  name: guid(mail.id, principalId, role)
  scope: mail
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onOpenAi 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (!empty(openAiName) ? [
  'Cognitive Services OpenAI User'
] : []): {
  name: guid(openAi.id, principalId, role)
  scope: openAi
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (onlineEndpoints ? [
  'Monitoring Contributor'
] : []): {
  name: guid(resourceGroup().id, principalId, role)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]

resource onGroupForWebApps 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (webApps ? [
  'Website Contributor'
  'Monitoring Reader'
] : []): {
  name: guid(resourceGroup().id, principalId, role)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles[role])
  }
}]
