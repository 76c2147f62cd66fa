// The Azure ML workspace, in which flows are run, registered and deployed. It works as an identity whose roles
// modules/access-workspace.bicep gives it, and opens its storage as whoever asks, not by a key.

param name string
param location string
param tags object
param identityId string
param storageAccountId string
param keyVaultId string
param insightsId string
param containerRegistryId string

@description('Whether only the virtual network reaches it, and its computes lie in a network that Azure ML manages.')
param isPrivate bool

@description('Address of the Azure OpenAI resource behind the connection `aoai`; empty: no connection is made.')
param openAiEndpoint string

param openAiId string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' = {
  name: name
  location: location
  tags: tags
  kind: 'Default'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  properties: {
    friendlyName: name
    applicationInsights: insightsId
    containerRegistry: containerRegistryId
    keyVault: keyVaultId
    storageAccount: storageAccountId
    primaryUserAssignedIdentity: identityId
    managedNetwork: {
      isolationMode: isPrivate ? 'AllowInternetOutbound' : 'Disabled'
    }
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    systemDatastoresAuthMode: 'identity'
    v1LegacyMode: false
  }
}

resource openAi 'Microsoft.MachineLearningServices/workspaces/connections@2024-10-01' = if (!empty(openAiEndpoint)) {
  parent: workspace
  name: 'aoai'
  properties: {
    authType: 'AAD'
    category: 'AzureOpenAI'
    isSharedToAll: true
    target: openAiEndpoint
    metadata: {
      ApiType: 'Azure'
      ApiVersion: '2024-02-01'
      ResourceId: openAiId
    }
  }
}

output id string = workspace.id
output name string = workspace.name
