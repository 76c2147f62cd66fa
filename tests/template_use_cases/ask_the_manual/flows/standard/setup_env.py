import os
from typing import Union

from ask_the_manual.utils.lock import acquire_lock
from promptflow import tool
from promptflow.connections import AzureOpenAIConnection, OpenAIConnection
from utils import as_text


@tool
def setup_env(connection: Union[AzureOpenAIConnection, OpenAIConnection], config: dict):
    if not connection or not config:
        return
    if isinstance(connection, AzureOpenAIConnection):
        os.environ["OPENAI_API_TYPE"] = "azure"
        os.environ["OPENAI_API_BASE"] = connection.api_base
        os.environ["OPENAI_API_KEY"] = connection.api_key
        os.environ["OPENAI_API_VERSION"] = connection.api_version
    for key in config:
        os.environ[key] = as_text(config[key])
    with acquire_lock("create_folder.lock"):
        if not os.path.exists(".index"):
            os.mkdir(".index")
    return "Ready"
