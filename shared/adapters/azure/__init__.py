"""The ports on Azure's services.

Every SDK is imported where it is used: wiring must cost nothing before the first call.

| file or folder | what is in it |
|---|---|
| `credential.py`, `lazy_credential.py` | who the app is; the same, found when a token is first asked for |
| `errors.py`, `arm.py` | the SDKs' errors in our families; requests to Azure Resource Manager |
| `bus.py`, `receiver.py` | the port Bus: sending; receiving, settling, browsing |
| `bus_namespace.py`, `bus_handler.py` | the SDK's clients; one sender or receiver of it for all threads |
| `bus_sessions.py`, `bus_locks.py`, `bus_browsing.py` | held sessions; locked messages; browsing a queue |
| `bus_messages.py`, `bus_errors.py` | the SDK's messages as the port's; its errors in our families |
| `blobs.py`, `storage/` | the port BlobStore; how it reads, appends and links |
| `wrapped_keys.py` | the port Keys, under a key of Key Vault |
| `machine_learning/` | the ports Registry and FlowRunner |
| `endpoints/` | the port Endpoints |
"""
