"""What a query may call: every name on the list is the engine's, and nothing that reaches beyond its arguments is on it."""

from typing import Final

import chdb
import pytest

from headrace.sql_functions import FUNCTIONS, SYNTAX, TYPES, WORDS, is_aggregate, is_allowed

#: What reads, tells of the server or of who asks, waits, writes, fails at will, or believes bytes.
REFUSED: Final = """
    file catboostEvaluate dictGet dictGetOrDefault dictHas dictIsIn joinGet joinGetOrNull hasColumnInTable getSetting
    getSettingOrDefault getMacro getServerSetting getMergeTreeSetting getServerPort hostName FQDN fullHostName currentUser user
    currentDatabase currentRoles enabledRoles currentProfiles initialQueryID queryID connectionId serverUUID uptime version
    buildId tcpPort showCertificate filesystemAvailable getOSKernelVersion getClientHTTPHeader globalVariable sleep sleepEachRow
    throwIf aggThrow logTrace addressToLine addressToSymbol demangle tid generateSerialID evalMLMethod naiveBayesClassifier
    regionToName aiGenerate aiEmbed formatRow formatQuery fuzzQuery finalizeAggregation initializeAggregation runningAccumulate
    sumState uniqMerge sumSimpleState arrayReduce reinterpret defaultValueOfTypeName encrypt decrypt in notIn globalIn nullIn
    __actionName __getScalar indexHint lambda flameGraph transactionID zookeeperSessionUptime
    url urlCluster s3 s3Cluster gcs hdfs azureBlobStorage remote remoteSecure cluster clusterAllReplicas executable fileCluster
    merge mergeTreeIndex numbers zeros generateRandom generateSeries view viewExplain viewIfPermitted values input null
    dictionary mysql postgresql mongodb redis sqlite odbc jdbc iceberg deltaLake hudi python loop fuzzJSON timeSeriesData
"""


@pytest.mark.parametrize("name", REFUSED.split())
def test_what_reaches_beyond_its_arguments_is_refused(name: str) -> None:
    assert not is_allowed(name)
    assert not is_allowed(name.upper())


@pytest.mark.parametrize(
    "name", ["sum", "sumIf", "uniqExactArray", "countIfOrNull", "quantileTDigestIf", "toDate", "LOWER"]
)
def test_what_makes_a_value_of_values_is_allowed(name: str) -> None:
    assert is_allowed(name)


def test_every_name_is_the_engines_and_none_is_one_of_its_tables() -> None:
    session = chdb.connect(":memory:")
    known = set(str(session.query("SELECT lower(name) FROM system.functions", "TSV")).split())
    assert FUNCTIONS - known - {*TYPES.split(), *SYNTAX.split()} == set()
    sources = set(str(session.query("SELECT lower(name) FROM system.table_functions", "TSV")).split())
    assert {name for name in sources if is_allowed(name) or name in WORDS} == {"format"}  # a function of strings, too
    reached = (
        "SELECT lower(name) FROM system.functions WHERE categories LIKE '%Dict%' OR categories IN ('AI', 'Internal')"
    )
    assert [name for name in str(session.query(reached, "TSV")).split() if is_allowed(name)] == []
    aggregates = set(str(session.query("SELECT lower(name) FROM system.functions WHERE is_aggregate", "TSV")).split())
    assert {name for name in known & FUNCTIONS if is_aggregate(name)} <= aggregates
