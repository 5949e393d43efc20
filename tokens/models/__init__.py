"""The vault's tables. Every row belongs to one enterprise (decision 1)."""

from tokens.crypto.keyset import DataKey, IndexVersion
from tokens.models.bulk import BulkChunk, BulkJob, BulkReject
from tokens.models.clients import AllowedNetwork, ApiClient, BudgetUse, ClientSecret
from tokens.models.closing_days import ClosingDay
from tokens.models.connections import CloudEvent, Connection, CoreOrg, EventCallback
from tokens.models.consent import ConsentEvent, Suppression
from tokens.models.contacts import AttributeSet, Contact, ContactMapping
from tokens.models.dossier import AccessPack
from tokens.models.enterprises import BusinessUnit, Enterprise
from tokens.models.erasures import ContactDelete, Erasure, LedgerLine
from tokens.models.exports import Export, ExportSlice
from tokens.models.file_transfers import FileTransfer, RemoteFile
from tokens.models.mappings import Mapping
from tokens.models.no_token_queue import (
    ExtractRecipe,
    QueueBadLine,
    QueueExplanation,
    QueueExtract,
    QueueMessage,
    QueueReconciliation,
    QueueSettings,
    TokenChain,
)
from tokens.models.opt_out_files import OptOutChunk, OptOutFile, OptOutReject
from tokens.models.sms_files import SmsFile
from tokens.models.unsubscribes import Unsubscribe
from tokens.models.write_backs import WriteBack

__all__ = [
    "AccessPack",
    "AllowedNetwork",
    "ApiClient",
    "AttributeSet",
    "BudgetUse",
    "BulkChunk",
    "BulkJob",
    "BulkReject",
    "BusinessUnit",
    "ClientSecret",
    "ClosingDay",
    "CloudEvent",
    "Connection",
    "ConsentEvent",
    "Contact",
    "ContactDelete",
    "ContactMapping",
    "CoreOrg",
    "DataKey",
    "Enterprise",
    "Erasure",
    "EventCallback",
    "Export",
    "ExportSlice",
    "ExtractRecipe",
    "FileTransfer",
    "IndexVersion",
    "LedgerLine",
    "Mapping",
    "OptOutChunk",
    "OptOutFile",
    "OptOutReject",
    "QueueBadLine",
    "QueueExplanation",
    "QueueExtract",
    "QueueMessage",
    "QueueReconciliation",
    "QueueSettings",
    "RemoteFile",
    "SmsFile",
    "Suppression",
    "TokenChain",
    "Unsubscribe",
    "WriteBack",
]
