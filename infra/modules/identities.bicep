// Who acts: one identity each for the app, the workspace, flows that are served, and pipelines.
// They exist before what they use, so that roles can be given first and deployments never wait for one.

param location string
param tags object
param names object

@description('Whether flows are served on App Service, as an identity of their own.')
param servedFlows bool

@description('Service connections of Azure DevOps that act as the pipelines: objects of name, issuer and subject, as the draft of a service connection shows them.')
param pipelineFederations array

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: names.app
  location: location
  tags: tags
}

resource workspace 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: names.workspace
  location: location
  tags: tags
}

resource served 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = if (servedFlows) {
  name: names.served
  location: location
  tags: tags
}

resource pipelines 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: names.pipelines
  location: location
  tags: tags
}

// One at a time: the service refuses credentials of one identity that are written side by side.
@batchSize(1)
resource federations 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = [for federation in pipelineFederations: {
  parent: pipelines
  name: federation.name
  properties: {
    issuer: federation.issuer
    subject: federation.subject
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}]

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output workspaceId string = workspace.id
output workspacePrincipalId string = workspace.properties.principalId
output servedName string = servedFlows ? served.name : ''
output servedPrincipalId string = servedFlows ? served!.properties.principalId : ''
output pipelinesClientId string = pipelines.properties.clientId
output pipelinesPrincipalId string = pipelines.properties.principalId
