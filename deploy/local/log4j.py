"""How the programs that run in Java write their logs: JSON lines, as the services do, in a file that is turned over."""

from typing import Final

from deploy.local.settings import StackSettings

_FILE: Final = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.alwaysWriteExceptions = false
appender.file.layout.pattern = {pattern}
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = {size_mb}MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""
_CONSOLE: Final = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = {pattern}
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
_LINE: Final = (
    '{"at":"%d{yyyy-MM-dd\'T\'HH:mm:ss.SSSXXX}{UTC}","level":"%level{lowerCase=true}","service":"SERVICE",'
    '"logger":"%enc{%c}{JSON}","message":"%enc{%m}{JSON}","traceback":"%enc{%xEx{20}}{JSON}"}%n'
)


def to_file(service: str, settings: StackSettings) -> str:
    """The configuration of a program that writes its own log."""
    log = settings.logs / f"{service}.log"
    return _FILE.format(log=log, pattern=_LINE.replace("SERVICE", service), size_mb=settings.log_size_mb)


def to_console(service: str) -> str:
    """The configuration of a program whose output is read."""
    return _CONSOLE.format(pattern=_LINE.replace("SERVICE", service))
