"""Trace and log settings, from and to protobuf messages."""

from tritonclient.grpc import service_pb2

from mock_server.core.inference_core import InferenceCore
from mock_server.log_settings import LogValue


def trace_setting(
    core: InferenceCore, request: service_pb2.TraceSettingRequest
) -> service_pb2.TraceSettingResponse:
    """Change what is given, and tell what is in force then.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for an unknown model or a wrong value, UNIMPLEMENTED for what
        cannot be changed.
    """
    settings = {key: list(each.value) for key, each in request.settings.items()}
    core.update_trace(settings, request.model_name)
    response = service_pb2.TraceSettingResponse()
    for key, values in core.trace.of(request.model_name).items():
        response.settings[key].value.extend(values)
    return response


def log_settings(
    core: InferenceCore, request: service_pb2.LogSettingsRequest
) -> service_pb2.LogSettingsResponse:
    """Change what is given, and tell what is in force then.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT for a wrong value, UNIMPLEMENTED for what cannot be changed.
    """
    settings: dict[str, LogValue | None] = {}
    for key, each in request.settings.items():
        kind = each.WhichOneof("parameter_choice")
        settings[key] = None if kind is None else getattr(each, kind)
    core.log.update(settings)
    response = service_pb2.LogSettingsResponse()
    for key, value in core.log.now().items():
        setting = response.settings[key]
        if isinstance(value, bool):
            setting.bool_param = value
        elif isinstance(value, int):
            setting.uint32_param = value
        else:
            setting.string_param = value
    return response
