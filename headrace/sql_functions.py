"""Decides which functions a query may call: those that make a value of values, and nothing else.

What is not listed is refused, also functions that do not exist yet. Left out on purpose is whatever reads files, tables,
dictionaries, models, settings or the server; whatever tells who asks; whatever waits, logs, keeps numbers outside, or fails
on a value that it is told to fail on; and states of aggregates, whose bytes an engine believes. Source: `system.functions`.
"""

import re
from collections.abc import Mapping
from itertools import chain
from typing import Final

#: By what they are about, as ClickHouse's documentation has them; their names in lower case.
SCALARS: Final[Mapping[str, str]] = {
    "arithmetic": """
        abs avg2 byteswap divide dividedecimal divideornull gcd ifnotfinite intdiv intdivornull intdivorzero isfinite isinfinite
        isnan lcm max2 midpoint min2 minus mod modornull modulo modulolegacy moduloornull moduloorzero multiply multiplydecimal
        negate plus pmod pmodornull positive_modulo positivemodulo positivemoduloornull sqr
    """,
    "arrays": """
        array arrayall arrayauc arrayaucpr arrayautocorrelation arrayavg arraybottomk arraycompact arrayconcat arraycount
        arraycumsum arraycumsumnonnegative arraydifference arraydistinct arraydotproduct arrayelement arrayelementornull
        arrayenumerate arrayenumeratedense arrayenumeratedenseranked arrayenumerateuniq arrayenumerateuniqranked arrayexcept
        arrayexists arrayfill arrayfilter arrayfirst arrayfirstindex arrayfirstornull arrayflatten arrayfold arrayintersect
        arrayjaccardindex arrayjoin arraylast arraylastindex arraylastornull arraylevenshteindistance
        arraylevenshteindistanceweighted arraymap arraymax arraymin arraynormalizedgini arraypartialreversesort
        arraypartialshuffle arraypartialsort arraypopback arraypopfront arrayprauc arrayproduct arraypushback arraypushfront
        arrayrandomsample arrayremove arrayresize arrayreverse arrayreversefill arrayreversesort arrayreversesplit arrayrocauc
        arrayrotateleft arrayrotateright arrayshiftleft arrayshiftright arrayshingles arrayshuffle arraysimilarity arrayslice
        arraysort arraysplit arraysum arraysymmetricdifference arraytopk arraytranspose arrayunion arrayuniq arraywithconstant
        arrayzip arrayzipunaligned array_remove array_to_string cardinality countequal empty emptyarraydate emptyarraydatetime
        emptyarrayfloat32 emptyarrayfloat64 emptyarrayint16 emptyarrayint32 emptyarrayint64 emptyarrayint8 emptyarraystring
        emptyarraytosingle emptyarrayuint16 emptyarrayuint32 emptyarrayuint64 emptyarrayuint8 flatten has hasall hasany
        hassubstr indexof indexofassumesorted length notempty nothas range replicate reverse
    """,
    "bits and bitmaps": """
        bitand bitcount bithammingdistance bitnot bitor bitrotateleft bitrotateright bitshiftleft bitshiftright bitslice bittest
        bittestall bittestany bitxor bitmapand bitmapandcardinality bitmapandnot bitmapandnotcardinality bitmapbuild
        bitmapcardinality bitmapcontains bitmaphasall bitmaphasany bitmapmax bitmapmin bitmapor bitmaporcardinality
        bitmapsubsetinrange bitmapsubsetlimit bitmaptoarray bitmaptransform bitmapxor bitmapxorcardinality subbitmap
    """,
    "comparison, logic and null": """
        and assumenotnull clamp coalesce equals firstnondefault greater greaterorequals greatest if ifnull isdistinctfrom
        isnotdistinctfrom isnotnull isnull isnullable iszeroornull least less lessorequals multiif not notequals nullif or
        tonullable xor
    """,
    "conversion": """
        accuratecast accuratecastordefault accuratecastornull cast date todecimalstring fromunixtimestamp64micro
        fromunixtimestamp64milli fromunixtimestamp64nano fromunixtimestamp64second parsedatetime parsedatetime32besteffort
        parsedatetime32besteffortornull parsedatetime32besteffortorzero parsedatetime64 parsedatetime64besteffort
        parsedatetime64besteffortornull parsedatetime64besteffortorzero parsedatetime64besteffortus
        parsedatetime64besteffortusornull parsedatetime64besteffortusorzero parsedatetime64injodasyntax
        parsedatetime64injodasyntaxornull parsedatetime64injodasyntaxorzero parsedatetime64ornull parsedatetime64orzero
        parsedatetimebesteffort parsedatetimebesteffortornull parsedatetimebesteffortorzero parsedatetimebesteffortus
        parsedatetimebesteffortusornull parsedatetimebesteffortusorzero parsedatetimeinjodasyntax
        parsedatetimeinjodasyntaxornull parsedatetimeinjodasyntaxorzero parsedatetimeornull parsedatetimeorzero
        reinterpretasdate reinterpretasdatetime reinterpretasfixedstring reinterpretasfloat32 reinterpretasfloat64
        reinterpretasint128 reinterpretasint16 reinterpretasint256 reinterpretasint32 reinterpretasint64 reinterpretasint8
        reinterpretasstring reinterpretasuint128 reinterpretasuint16 reinterpretasuint256 reinterpretasuint32
        reinterpretasuint64 reinterpretasuint8 reinterpretasuuid str_to_date tobool tolowcardinality tobfloat16 tobfloat16ornull
        tobfloat16orzero todatetime32 tostring tostringcuttozero totime totime64 totime64ornull totime64orzero totimeornull
        totimeorzero tointerval tointervalday tointervalhour tointervalmicrosecond tointervalmillisecond tointervalminute
        tointervalmonth tointervalnanosecond tointervalquarter tointervalsecond tointervalweek tointervalyear
        tounixtimestamp64micro tounixtimestamp64milli tounixtimestamp64nano tounixtimestamp64second tofixedstring
    """,
    "dates and times": """
        adddate adddays addhours addinterval addmicroseconds addmilliseconds addminutes addmonths addnanoseconds addquarters
        addseconds addtupleofintervals addweeks addyears age changeday changehour changeminute changemonth changesecond changeyear
        curdate current_date current_timestamp date_bin date_diff date_format date_trunc datediff
        datename datetrunc day dayofmonth dayofweek dayofyear formatdatetime formatdatetimeinjodasyntax from_days
        from_unixtime from_utc_timestamp fromdayssinceyearzero fromdayssinceyearzero32 frommodifiedjulianday
        frommodifiedjuliandayornull fromunixtimestamp fromunixtimestampinjodasyntax fromutctimestamp hour last_day makedate
        makedate32 makedatetime makedatetime64 microsecond millisecond minute month monthname nanosecond now now64 nowinblock
        nowinblock64 quarter second subdate subtractdays subtracthours subtractinterval subtractmicroseconds
        subtractmilliseconds subtractminutes subtractmonths subtractnanoseconds subtractquarters subtractseconds
        subtracttupleofintervals subtractweeks subtractyears time_bucket timediff timeslot timeslots timestamp
        timestamp_diff timestampdiff timezone timezoneof timezoneoffset to_days to_unixtime
        to_utc_timestamp today todayofmonth todayofweek todayofyear todaysinmonth todayssinceyearzero tohour toisoweek toisoyear
        tolastdayofmonth tolastdayofweek tomicrosecond tomillisecond tominute tomodifiedjulianday tomodifiedjuliandayornull
        tomonday tomonth tomonthnumsinceepoch tonanosecond toquarter torelativedaynum torelativehournum torelativeminutenum
        torelativemonthnum torelativequarternum torelativesecondnum torelativeweeknum torelativeyearnum tosecond tostartofday
        tostartoffifteenminutes tostartoffiveminute tostartoffiveminutes tostartofhour tostartofinterval tostartofisoyear
        tostartofmicrosecond tostartofmillisecond tostartofminute tostartofmonth tostartofnanosecond tostartofquarter
        tostartofsecond tostartoftenminutes tostartofweek tostartofyear totimewithfixeddate totimezone tounixtimestamp
        toutctimestamp toweek toyear toyearnumsinceepoch toyearweek toyyyymm toyyyymmdd toyyyymmddhhmmss utc_timestamp
        utctimestamp week year yearweek yesterday yyyymmddhhmmsstodatetime yyyymmddhhmmsstodatetime64 yyyymmddtodate
        yyyymmddtodate32 tumble tumbleend tumblestart hop hopend hopstart
    """,
    "distance and tuples": """
        cosinedistance dotproduct flattentuple l1distance l1norm l1normalize l2distance l2norm l2normalize l2squareddistance
        l2squarednorm linfdistance linfnorm linfnormalize lpdistance lpnorm lpnormalize scalarproduct tuple tupleconcat
        tupledivide tupledividebynumber tupleelement tuplehammingdistance tupleintdiv tupleintdivbynumber tupleintdivorzero
        tupleintdivorzerobynumber tupleminus tuplemodulo tuplemodulobynumber tuplemultiply tuplemultiplybynumber tuplenames
        tuplenegate tupleplus tupletonamevaluepairs vectordifference vectorsum
    """,
    "encoding and hashes": """
        base32decode base32encode base58decode base58encode base64decode base64encode base64urldecode base64urlencode bin
        bitmasktoarray bitmasktolist bitpositionstoarray char cityhash64 farmfingerprint64 farmhash64 from_base64 gccmurmurhash
        halfmd5 hex hilbertdecode hilbertencode hivehash inthash32 inthash64 javahash javahashutf16le jumpconsistenthash
        kafkamurmurhash keccak256 kostikconsistenthash md4 md5 metrohash64 mortondecode mortonencode murmurhash2_32
        murmurhash2_64 murmurhash3_128 murmurhash3_32 murmurhash3_64 ripemd160 sha1 sha224 sha256 sha384 sha512 sha512_256
        siphash128 siphash128reference siphash64 sqiddecode sqidencode to_base64 trybase32decode trybase58decode trybase64decode
        trybase64urldecode unbin unhex urlhash wyhash64 xxh3 xxhash32 xxhash64
    """,
    "financial and geographical": """
        areacartesian areaspherical financialinternalrateofreturn financialinternalrateofreturnextended financialnetpresentvalue
        financialnetpresentvalueextended geodistance geohashdecode geohashencode geohashesinbox geotoh3 greatcircleangle
        greatcircledistance h3cellaream2 h3cellarearads2 h3distance h3edgeangle h3edgelengthkm h3edgelengthm h3getbasecell
        h3getfaces h3getresolution h3hexareakm2 h3hexaream2 h3hexring h3indexesareneighbors h3ispentagon h3isresclassiii h3isvalid
        h3kring h3line h3numhexagons h3pointdistkm h3pointdistm h3pointdistrads h3tocenterchild h3tochildren h3togeo
        h3togeoboundary h3toparent h3tostring perimetercartesian perimeterspherical pointinellipses pointinpolygon
        polygonareacartesian polygonareaspherical polygonconvexhullcartesian polygonperimetercartesian
        polygonperimeterspherical polygonsdistancecartesian polygonsdistancespherical polygonsequalscartesian
        polygonsintersectcartesian polygonsintersectionspherical polygonsunioncartesian polygonsunionspherical
        polygonswithincartesian polygonswithinspherical readwkt readwktlinestring readwktmultilinestring readwktmultipolygon
        readwktpoint readwktpolygon readwktring stringtoh3 svg wkt
    """,
    "JSON and maps": """
        extractkeyvaluepairs extractkeyvaluepairswithescaping isvalidjson json_array_length json_exists json_query json_value
        jsonallpaths jsonallpathswithtypes jsonallvalues jsonarraylength jsondynamicpaths jsonextract jsonextractarrayraw
        jsonextractbool jsonextractfloat jsonextractint jsonextractkeys jsonextractkeysandvalues jsonextractkeysandvaluesraw
        jsonextractraw jsonextractstring jsonextractuint jsonhas jsonkey jsonlength jsonmergepatch jsontype map map_from_arrays
        mapadd mapall mapapply mapconcat mapcontains mapcontainskey mapcontainskeylike mapcontainsvalue mapcontainsvaluelike
        mapexists mapextractkeylike mapextractvaluelike mapfilter mapfromarrays mapfromstring mapkeys mappartialreversesort
        mappartialsort mappopulateseries mapreversesort mapsort mapsubtract mapupdate mapvalues simplejsonextractbool
        simplejsonextractfloat simplejsonextractint simplejsonextractraw simplejsonextractstring simplejsonextractuint
        simplejsonhas str_to_map tojsonstring visitparamextractbool visitparamextractfloat visitparamextractint
        visitparamextractraw visitparamextractstring visitparamextractuint visitparamhas
    """,
    "mathematics and rounding": """
        acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh degrees e erf erfc exp exp10 exp2 factorial floor hypot
        intexp10 intexp2 isprime lgamma ln log log10 log1p log2 pi pow power proportionsztest radians round roundage
        roundbankers rounddown roundduration roundtoexp2 sigmoid sign sin sinh sqrt tan tanh tgamma trunc truncate width_bucket
        widthbucket
    """,
    "random numbers": """
        rand rand32 rand64 randbernoulli randbinomial randcanonical randchisquared randconstant randexponential randfisherf
        randlognormal randnegativebinomial randnormal randpoisson randstudentt randuniform generateuuidv4 generateuuidv7
    """,
    "strings": """
        alphatokens appendtrailingcharifabsent arraystringconcat ascii basename bytehammingdistance byteslice casefoldutf8
        char_length character_length comparesubstrings concat concat_ws concatassumeinjective concatwithseparator
        concatwithseparatorassumeinjective conv convertcharset countmatches countmatchescaseinsensitive countsubstrings
        countsubstringscaseinsensitive countsubstringscaseinsensitiveutf8 crc32 crc32ieee crc64 dameraulevenshteindistance
        decodehtmlcomponent decodexmlcomponent editdistance editdistanceutf8 encodexmlcomponent endswith
        endswithcaseinsensitive endswithcaseinsensitiveutf8 endswithutf8 extract extractall extractallgroups
        extractallgroupshorizontal extractallgroupsvertical extractgroups extracttextfromhtml firstline format hasalltokens
        hasanytokens hasphrase hassubsequence hassubsequencecaseinsensitive hassubsequencecaseinsensitiveutf8
        hassubsequenceutf8 hastoken hastokencaseinsensitive hastokencaseinsensitiveornull hastokenornull ilike initcap
        initcaputf8 instr isascii isvalidascii isvalidutf8 jarosimilarity jarowinklersimilarity lcase left leftpad leftpadutf8
        leftutf8 lengthutf8 levenshteindistance levenshteindistanceutf8 like locate lower lowerutf8 lpad ltrim match
        matchcaseinsensitive mid mismatches multifuzzymatchallindices multifuzzymatchany multifuzzymatchanyindex
        multimatchallindices multimatchany multimatchanyindex multisearchallpositions multisearchallpositionscaseinsensitive
        multisearchallpositionscaseinsensitiveutf8 multisearchallpositionsutf8 multisearchany multisearchanycaseinsensitive
        multisearchanycaseinsensitiveutf8 multisearchanyutf8 multisearchfirstindex multisearchfirstindexcaseinsensitive
        multisearchfirstindexutf8 multisearchfirstposition multisearchfirstpositioncaseinsensitive multisearchfirstpositionutf8
        natural_sort_key naturalsortkey ngramdistance ngramdistancecaseinsensitive ngramdistancecaseinsensitiveutf8
        ngramdistanceutf8 ngrams ngramsearch ngramsearchcaseinsensitive ngramsearchcaseinsensitiveutf8 ngramsearchutf8
        ngramsimhash ngramsimhashutf8 normalizeutf8nfc normalizeutf8nfd normalizeutf8nfkc normalizeutf8nfkccasefold
        normalizeutf8nfkd notilike notlike notmatch octet_length overlay overlayutf8 position positioncaseinsensitive
        positioncaseinsensitiveutf8 positionutf8 printf regexp_extract regexp_instr regexp_matches regexp_replace
        regexp_substr regexpextract regexpinstr regexpposition regexpquotemeta removeaccentsutf8 removediacriticsutf8 repeat
        replace replaceall replaceone replaceregexpall replaceregexpone reversebyseparator reverseutf8 right rightpad
        rightpadutf8 rightutf8 rpad rtrim soundex space splitbyalpha splitbychar splitbynonalpha splitbyregexp splitbystring
        splitbywhitespace startswith startswithcaseinsensitive startswithcaseinsensitiveutf8 startswithutf8
        stringbytesentropy stringbytesuniq stringjaccardindex stringjaccardindexutf8 substr substring substring_index
        substringindex substringindexutf8 substringutf8 tokens tovalidutf8 translate translateutf8 trim trimboth trimleft
        trimright ucase upper upperutf8 wordshinglesimhash wordshinglesimhashutf8
    """,
    "network addresses, URLs and UUIDs": """
        cutfragment cutipv6 cutquerystring cutquerystringandfragment cuttofirstsignificantsubdomain
        cuttofirstsignificantsubdomainwithwww cuturlparameter cutwww datetime64tosnowflakeid datetimetosnowflakeid
        datetimetouuidv7 decodeurlcomponent decodeurlformcomponent domain domainrfc domainwithoutwww domainwithoutwwwrfc
        encodeurlcomponent encodeurlformcomponent extracturlparameter extracturlparameternames extracturlparameters
        firstsignificantsubdomain fragment inet6_aton inet6_ntoa inet_aton inet_ntoa ipv4cidrtorange ipv4numtostring
        ipv4numtostringclassc ipv4stringtonum ipv4stringtonumordefault ipv4stringtonumornull ipv4toipv6 ipv6cidrtorange
        ipv6numtostring ipv6stringtonum ipv6stringtonumordefault ipv6stringtonumornull isipaddressinrange isipv4string
        isipv6string macnumtostring macstringtonum macstringtooui netloc path pathfull port protocol querystring
        querystringandfragment snowflakeidtodatetime snowflakeidtodatetime64 toipv4 toipv4ordefault toipv4ornull toipv4orzero
        toipv6 toipv6ordefault toipv6ornull toipv6orzero topleveldomain touuid touuidordefault touuidornull touuidorzero
        urlhierarchy urlpathhierarchy uuidnumtostring uuidstringtonum uuidtonum uuidv7todatetime
    """,
    "series and everything else": """
        bar bytesize countdigits defaultvalueofargumenttype dynamicelement dynamictype format_bytes formatreadabledecimalsize
        formatreadablequantity formatreadablesize formatreadabletimedelta getsubcolumn identity ignore isconstant
        isdecimaloverflow lowcardinalityindices lowcardinalitykeys materialize minsamplesizecontinuous minsamplesizeconversion
        neighbor parsereadablesize parsereadablesizeornull parsereadablesizeorzero parsetimedelta rownumberinallblocks
        rownumberinblock runningdifference runningdifferencestartingwithfirstvalue seriesdecomposestl
        seriesoutliersdetecttukey  timeseriesrange totypename transform variantelement varianttype
        visiblewidth
    """,
}

#: Functions over many rows, and those of windows. Each may bear combinators, such as `sumIf` and `uniqExactArray`.
AGGREGATES: Final = """
    analysisofvariance anova any any_respect_nulls any_value any_value_respect_nulls anyheavy anylast anylast_respect_nulls
    anylastrespectnulls anyrespectnulls approx_top_count approx_top_k approx_top_sum argmax argmin array_agg
    array_concat_agg avg avgweighted bit_and bit_or bit_xor boundingratio categoricalinformationvalue contingency corr corrmatrix
    corrstable count covar_pop covar_samp covarpop covarpopmatrix covarpopstable covarsamp covarsampmatrix covarsampstable
    cramersv cramersvbiascorrected cume_dist deltasum deltasumtimestamp dense_rank denserank entropy exponentialmovingaverage
    exponentialtimedecayedavg exponentialtimedecayedcount exponentialtimedecayedmax exponentialtimedecayedsum first_value
    first_value_respect_nulls firstvaluerespectnulls gini group_concat grouparray grouparrayinsertat grouparrayintersect
    grouparraylast grouparraymovingavg grouparraymovingsum grouparraysample grouparraysorted groupbitand groupbitmap groupbitor
    groupbitxor groupconcat groupuniqarray histogram intervallengthsum kolmogorovsmirnovtest kurtpop kurtsamp lag laginframe
    largesttrianglethreebuckets last_value last_value_respect_nulls lastvaluerespectnulls lead leadinframe lttb mannwhitneyutest
    max max_by maxintersections maxintersectionsposition maxmappedarrays meanztest median medianbfloat16 mediandd
    mediandeterministic medianexact medianexacthigh medianexactlow medianexactweighted mediangk medianinterpolatedweighted
    mediantdigest mediantdigestweighted mediantiming mediantimingweighted min min_by minmappedarrays nonnegativederivative
    nth_value ntile percent_rank percentrank quantile quantilebfloat16 quantiledd quantiledeterministic quantileexact
    quantileexactexclusive quantileexacthigh quantileexactinclusive quantileexactlow quantileexactweighted quantilegk
    quantileinterpolatedweighted quantiles quantilesbfloat16 quantilesdd quantilesdeterministic quantilesexact
    quantilesexactexclusive quantilesexacthigh quantilesexactinclusive quantilesexactlow quantilesexactweighted quantilesgk
    quantilesinterpolatedweighted quantilestdigest quantilestdigestweighted quantilestiming quantilestimingweighted
    quantiletdigest quantiletdigestweighted quantiletiming quantiletimingweighted rank rankcorr regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy retention row_number sequencecount sequencematch
    sequencematchevents sequencenextnode simplelinearregression singlevalueornull skewpop skewsamp sparkbar std stddev
    stddev_pop stddev_samp stddevpop stddevpopstable stddevsamp stddevsampstable string_agg studentttest
    studentttestonesample sum sumcount sumkahan summapfiltered summapwithoverflow summappedarrays sumwithoverflow
    theilsu timeseriesdeltatogrid timeseriesgrouparray timeseriesinstantratetogrid timeserieslasttogrid timeseriesratetogrid
    topk topkweighted uniq uniqcombined uniqcombined64 uniqexact uniqhll12 uniqupto var_pop var_samp varpop varpopstable varsamp
    varsampstable welchttest windowfunnel
"""

_NUMBERS: Final = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64, 128, 256)),
    *(f"decimal{bits}" for bits in (32, 64, 128, 256)),
    *("float32", "float64", "date", "date32", "datetime", "datetime64"),
)
_CONVERSIONS: Final = tuple(f"to{kind}{end}" for kind in _NUMBERS for end in ("", "ordefault", "ornull", "orzero"))

#: Types that are written with something in parentheses.
TYPES: Final = """
    array datetime datetime32 datetime64 decimal decimal32 decimal64 decimal128 decimal256 enum enum8 enum16 fixedstring json
    lowcardinality map nullable numeric string time64 tuple varchar variant dynamic
"""

#: Written like functions, and known to the engine's parser alone.
SYNTAX: Final = "date_add date_sub dateadd datesub grouping timestamp_add timestamp_sub timestampadd timestampsub"

#: Words that stand before a parenthesis and call nothing.
KEYWORDS: Final = """
    all and any apply as asof between by case cast columns cube distinct div else end escape except exists extract filter
    from global group having ilike in inner intersect interpolate interval is join left like limit materialized mod not
    offset on or order outer over partition qualify replace right rollup select sets some step then to union using when
    where window with within
"""

WORDS: Final = frozenset(KEYWORDS.split())
FUNCTIONS: Final = frozenset(
    chain(_CONVERSIONS, TYPES.split(), SYNTAX.split(), *(names.split() for names in SCALARS.values()))
)
_AGGREGATES: Final = frozenset(AGGREGATES.split())
_COMBINATOR: Final = re.compile(r"(if|array|map|distinct|ordefault|ornull|resample|foreach|argmin|argmax)$")


def is_allowed(name: str) -> bool:
    """Whether a query may call a function of this name. Letter case, which matters to the engine for some, does not here."""
    return name.lower() in FUNCTIONS or is_aggregate(name)


def is_aggregate(name: str) -> bool:
    """Whether a function is of those over many rows."""
    stem = name.lower()
    while stem not in _AGGREGATES:
        shorter = _COMBINATOR.sub("", stem)
        if shorter == stem:
            return False
        stem = shorter
    return True
