"""The enumerations of the Python Remofile, under the module name by which its
pickles refer to them, so that what Python pickles here is what it pickles there."""
import enum
import sys
import types


def _define():
    module = types.ModuleType("remofile.protocol")
    names = {
        "Request": "LIST_FILES CREATE_FILE MAKE_DIRECTORY UPLOAD_FILE SEND_CHUNK DOWNLOAD_FILE"
                   " RECEIVE_CHUNK CANCEL_TRANSFER REMOVE_FILE",
        "Response": "ACCEPTED REFUSED ERROR",
        "Reason": "FILES_LISTED FILE_CREATED DIRECTORY_CREATED INVALID_FILE_NAME FILE_NOT_FOUND"
                  " FILE_ALREADY_EXISTS NOT_A_FILE NOT_A_DIRECTORY INCORRECT_FILE_SIZE"
                  " INCORRECT_CHUNK_SIZE TRANSFER_ACCEPTED CHUNK_RECEIVED CHUNK_SENT"
                  " TRANSFER_COMPLETED TRANSFER_CANCELLED BAD_REQUEST UNKNOWN_ERROR",
    }
    for name, members in names.items():
        cls = enum.Enum(name, members, module="remofile.protocol")
        setattr(module, name, cls)
    sys.modules["remofile"] = types.ModuleType("remofile")
    sys.modules["remofile.protocol"] = module
    return module


_module = _define()
Request, Response, Reason = _module.Request, _module.Response, _module.Reason
