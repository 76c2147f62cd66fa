// Azure OpenAI with one deployment, which takes Entra ID alone.

param name string
param location string
param tags object
param model string
param modelVersion string

@description('Thousands of tokens a minute.')
@minValue(1)
param capacity int

param isPrivate bool

resource account 'Microsoft.CognitiveServices/accounts@2024-10-01' = {
  name: name
  location: location
  tags: tags
  kind: 'OpenAI'
  identity: {
    type: 'SystemAssigned'
  }
  sku: {
    name: 'S0'
  }
  properties: {
    // Tokens are taken at an address of its own alone.
    customSubDomainName: name
    disableLocalAuth: true
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

resource deployment 'Microsoft.CognitiveServices/accounts/deployments@2024-10-01' = {
  parent: account
  name: model
  sku: {
    name: 'Standard'
    capacity: capacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: model
      version: modelVersion
    }
    versionUpgradeOption: 'NoAutoUpgrade'
  }
}

output id string = account.id
output name string = account.name
output endpoint string = account.properties.endpoint
