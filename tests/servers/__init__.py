"""Servers that tests start on loopback ports in place of cloud services, each with a docstring that says what it plays.

| file or folder | plays |
|---|---|
| `service_bus/` | a Service Bus namespace, over AMQP |
| `management/` | Azure Resource Manager and Azure ML, with the services behind them |
| `azure_devops/` | Azure DevOps: tasks that wait, pull requests, runs |
| `azurite/` | Azure Storage: Microsoft's emulator, as a process |
| `mail/` | a mail server, Communication Services Email, a channel's webhook |
| `app_service_sign_in.py` | App Service authentication, before the app |
| `key_vault.py` | the keys of an Azure Key Vault |
| `identity.py` | the endpoint from which managed identities get tokens |
| `application_insights.py` | the ingestion endpoint of Application Insights |
| `kubernetes.py` | a cluster: its API server, its controllers, a gateway |
| `containers.py` | what starts an image of a served flow: the image's own program, in a process |
| `proxy.py`, `relay.py` | the way to a host's real name; a connection that can be cut |
| `certificates.py`, `plain_http.py` | the certificate authority of the tests; the server that small ones share |
| `fixtures.py` | the servers that a whole session shares |
"""
