// An Azure ML registry, in which what was promoted is shared with other workspaces.

param name string
param location string
param tags object

resource registry 'Microsoft.MachineLearningServices/registries@2024-04-01' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    publicNetworkAccess: 'Enabled'
    regionDetails: [
      {
        location: location
        acrDetails: [
          {
            systemCreatedAcrAccount: {
              acrAccountSku: 'Premium'
            }
          }
        ]
        storageAccountDetails: [
          {
            systemCreatedStorageAccount: {
              allowBlobPublicAccess: false
              storageAccountHnsEnabled: false
              storageAccountType: 'Standard_LRS'
            }
          }
        ]
      }
    ]
  }
}

output name string = registry.name
