// Mail: Communication Services with a domain that Azure manages. Its sender is a name that nobody can answer.

param name string
param tags object

@description('Where mails lie while they are sent, such as Europe.')
param dataLocation string

resource mail 'Microsoft.Communication/emailServices@2023-04-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
  }
}

resource domain 'Microsoft.Communication/emailServices/domains@2023-04-01' = {
  parent: mail
  name: 'AzureManagedDomain'
  location: 'global'
  tags: tags
  properties: {
    domainManagement: 'AzureManaged'
    userEngagementTracking: 'Disabled'
  }
}

resource service 'Microsoft.Communication/communicationServices@2023-04-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
    linkedDomains: [
      domain.id
    ]
  }
}

output name string = service.name
output endpoint string = 'https://${service.properties.hostName}'
output sender string = 'DoNotReply@${domain.properties.fromSenderDomain}'
