# Whatever changes the moment of a session leads through one door: SET, the end of SET LOCAL, RESET, DISCARD ALL, connecting.
# No query sees the present where the settings ask for the past.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('door');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int); INSERT INTO t VALUES (1)');
$node->safe_psql('postgres', 'CREATE ROLE guest LOGIN; GRANT SET ON PARAMETER strata.travel_time, strata.travel_lsn TO guest; GRANT SELECT ON t TO guest');
$node->safe_psql('postgres', "CREATE ROLE tokyo SUPERUSER LOGIN; ALTER ROLE tokyo SET timezone = 'Asia/Tokyo'; CREATE ROLE stored SUPERUSER LOGIN");
my $then = now_in($node);
my $lsn = lsn_in($node);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2), (3)');
my $count = 'SELECT count(*) FROM t;';

# What a session prints; returns its errors.
sub prints
{
	my ($sql, $expected, $name, %option) = @_;
	my ($out, $error) = try_sql($node, $sql, %option);
	is($out, $expected, $name) or diag($error);
	return $error;
}

# Settings that come back with the end of a transaction.
my $error = prints("SET strata.travel_lsn = '$lsn'; BEGIN; SET LOCAL strata.travel_lsn = ''; CREATE TEMP TABLE x (a int); COMMIT; $count DISCARD TEMP; $count",
	1, 'a session that has made temporary tables in the present runs no query until they are gone');
like($error, qr/55000.*temporary tables.*DISCARD TEMP/s, 'the refusal says why, and DISCARD TEMP works');
$error = prints("SET strata.travel_time = '$then'; BEGIN; SET LOCAL strata.travel_time = ''; SET strata.travel_lsn = '$lsn'; COMMIT; $count RESET strata.travel_lsn; $count",
	1, 'both settings in force at once: no query until one is taken back');
like($error, qr/22023.*cannot set "strata.travel_\w+" while "strata.travel_\w+" is set.*RESET/s, 'the refusal names both');

# RESET to the moment of the session's start: the right is asked for again.
{
	$ENV{PGOPTIONS} = pgoptions($then);
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'guest' ]);
	delete $ENV{PGOPTIONS};
	is($session->query("SET strata.travel_time = ''; $count"), 3, 'SET to the empty text leaves a moment of the session\'s start');
	$node->safe_psql('postgres', 'REVOKE SET ON PARAMETER strata.travel_time FROM guest');
	is($session->query("RESET strata.travel_time; $count"), 3, 'RESET to the past needs the right at that time');
	like($session->{stderr}, qr/permission denied to set parameter "strata.travel_time"/, 'a right that was revoked meanwhile is missed');
	$session->{stderr} = '';
	is($session->query("DISCARD ALL; $count"), 3, 'DISCARD ALL as well');
	like($session->{stderr}, qr/permission denied/, 'and says so');
	$session->quit;
	$node->safe_psql('postgres', 'GRANT SET ON PARAMETER strata.travel_time TO guest');
}

# Time zones and date styles.
my $local = $node->safe_psql('postgres', "SELECT to_char(timestamptz '$then' AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')");
my $german = $node->safe_psql('postgres', "SELECT to_char(timestamptz '$then' AT TIME ZONE 'UTC', 'DD/MM/YYYY\"T\"HH24:MI:SS.US')");
for my $case (
	[ "-c strata.travel_time=$local -c timezone=Asia/Tokyo", undef, 'TimeZone after it in PGOPTIONS' ],
	[ "-c timezone=Asia/Tokyo -c strata.travel_time=$local", undef, 'TimeZone before it in PGOPTIONS' ],
	[ "-c strata.travel_time=$local", 'tokyo', 'TimeZone of ALTER ROLE' ],
	[ "-c strata.travel_time=$german -c datestyle=DMY", undef, 'DateStyle' ])
{
	my ($options, $user, $what) = @$case;
	prints("SELECT count(*), max(a) FROM t;", '1|1', "a time is read as the connected session reads times: $what", options => $options, user => $user);
}
{
	local $ENV{PGTZ} = 'Asia/Tokyo';
	prints($count, 1, 'a time is read as the connected session reads times: PGTZ', options => "-c strata.travel_time=$local");
}
prints("SET strata.travel_time = '$then'; SET timezone = 'Asia/Tokyo'; $count BEGIN; RESET strata.travel_time; ROLLBACK; $count", "1\n1",
	'a session whose zone changes keeps its moment');

# SHOW and DETAIL.
prints("SET strata.travel_time = 'now'; SELECT current_setting('strata.travel_time') ~ '^2\\d\\d\\d-\\d\\d-\\d\\d \\d\\d:.*[+]00\$';", 't',
	"SHOW tells what 'now' was");
$error = prints("SET strata.travel_time = 'now'; INSERT INTO t VALUES (9);", '', 'a write is refused');
like($error, qr/as of 2\d\d\d-\d\d-\d\d \d\d:\S+[+]00 \(LSN/, 'DETAIL tells what now was');

# Relative times.
prints("SET strata.travel_time = '-1 microsecond'; SELECT pg_is_in_recovery();", 't', 'a negative interval is counted from now');
prints('SELECT pg_is_in_recovery();', 't', 'an interval with ago, at connection', options => '-c strata.travel_time=1\ microsecond\ ago');
$error = prints("SET strata.travel_time = '10 minutes'; $count", 3, 'an interval into the future changes nothing');
like($error, qr/22023.*does not lie in the past/, 'it is refused');
$error = prints("SET strata.travel_time = '-10'; $count", 3, 'a number without unit changes nothing');
like($error, qr/22007/, 'it is refused as no time');

# The way back, by where the moment comes from.
$node->safe_psql('postgres', "ALTER ROLE stored SET strata.travel_time = '$then'");
for my $case ([ undef, pgoptions($then), 'PGOPTIONS' ], [ 'stored', '', 'ALTER ROLE' ])
{
	my ($user, $options, $what) = @$case;
	my $error = prints("INSERT INTO t VALUES (9); SET strata.travel_time = ''; $count RESET strata.travel_time; $count", "3\n1",
		"$what: SET to the empty text goes to the present, RESET to the moment of the start", user => $user, options => $options);
	like($error, qr/SET strata.travel_time = '' returns to the present/, "$what: the hint says so");
}
prints("SET strata.travel_time = ''; ALTER ROLE stored RESET strata.travel_time; $count", 3,
	'the stored moment can be taken back by a session that has it', user => 'stored');

# Stored, and impossible.
$node->safe_psql('postgres', "ALTER ROLE stored SET strata.travel_time = '2001-01-01 00:00+00'");
$error = prints("INSERT INTO t VALUES (9); $count CREATE TABLE oops (a int); ALTER ROLE stored RESET strata.travel_time; SET strata.travel_time = ''; $count", 3,
	'a stored moment that cannot be reached never turns into the present', user => 'stored');
is(() = $error =~ /ERROR: .*history does not reach back that far/g, 3, 'each statement is refused with the reason');
prints($count, 3, 'ALTER ROLE RESET works in such a session', user => 'stored');
$error = prints("ALTER ROLE stored SET strata.travel_time = 'garbage'", '', 'garbage is not stored');
like($error, qr/22007/, 'it is refused at once');

# Tools that cannot SET.
$node->safe_psql('postgres', "ALTER ROLE stored SET strata.travel_time = '$then'");
for my $command ('VACUUM t', 'REINDEX TABLE t', 'CLUSTER')
{
	my $error = prints($command, '', "$command at a stored moment is refused", user => 'stored');
	like($error, qr/25006: cannot execute.*while travelling in time.*HINT:  SET strata.travel_time = '' returns to the present.*PGOPTIONS="-c strata.travel_time=" begins there/s, 'and the hint names what helps, in tools as well');
}
for my $tool ('vacuumdb', 'reindexdb')
{
	my ($out, $error) = run_command([ $tool, '-U', 'stored', '-d', $node->connstr('postgres') ]);
	like($error, qr/while travelling in time/, "$tool is refused");
	local $ENV{PGOPTIONS} = '-c strata.travel_time=';
	($out, $error) = run_command([ $tool, '-U', 'stored', '-d', $node->connstr('postgres') ]);
	unlike($error, qr/ERROR|FATAL/, "$tool with an empty moment in PGOPTIONS works");
}

# Connection against what is stored.
$node->safe_psql('postgres', "ALTER ROLE stored SET strata.travel_time = '$then'");
$error = prints("SELECT pg_last_wal_replay_lsn() = '$lsn', current_setting('strata.travel_time') = '';", 't|t',
	'an LSN given at connection beats a stored time', user => 'stored', options => "-c strata.travel_lsn=$lsn");
is($error, '', 'without any warning');

# Computed moments.
prints("BEGIN; SELECT set_config('strata.travel_time', (now() - (now() - timestamptz '$then'))::text, true) IS NULL; $count COMMIT; $count", "f\n1\n3",
	'a moment that a query computes from the clock, in a transaction block');
prints("BEGIN; SELECT now() > '2001-01-01', current_setting('server_version_num') > '1'; SET LOCAL strata.travel_time = '$then'; $count COMMIT; $count",
	"t|t\n1\n3", 'queries of the clock and settings do not forbid the switch');
for my $query ('SELECT count(*) FROM t', "SELECT pg_relation_size('t') > 0", 'SELECT (SELECT a FROM t LIMIT 1) = 1', "SELECT has_table_privilege('t', 'select')")
{
	my (undef, $error) = try_sql($node, "BEGIN; $query; SET LOCAL strata.travel_time = '$then'; COMMIT;");
	like($error, qr/25001/, "a query that reads more forbids it: $query");
}
$error = prints("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT now() > '2001-01-01'; SET LOCAL strata.travel_time = '$then'; ROLLBACK; $count", "t\n3",
	'a transaction with one snapshot for all has its moment with its first query');
like($error, qr/25001/, 'and says so');

# Functions.
$error = prints("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SET strata.travel_lsn = '$lsn' AS 'SELECT count(*) FROM t';", '', 'a function with a moment is not made');
like($error, qr/0A000.*cannot have a moment of its own.*HINT: +Travel in the session/s, 'the error says what helps');

# Connections that cannot travel say so, rather than give what is of the present.
for my $kind ('true', 'database')
{
	local $ENV{PGOPTIONS} = pgoptions($then);
	my (undef, $error) = run_command([ 'psql', '-XAt', '-d', $node->connstr('postgres') . " replication=$kind", '-c', 'IDENTIFY_SYSTEM' ]);
	like($error, qr/FATAL: .*only an ordinary client session can travel in time/, "a replication connection ($kind) with a moment is refused");
}

# Login event triggers.
$node->safe_psql('postgres', q{CREATE FUNCTION at_login() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'login trigger'; INSERT INTO t VALUES (0); END$$;
CREATE EVENT TRIGGER at_login ON login EXECUTE FUNCTION at_login()});
my $with = now_in($node);
$node->safe_psql('postgres', 'CREATE TABLE last_after (a int)');
$error = prints('SELECT pg_is_in_recovery();', 't', 'a session that begins in the past is let in', options => pgoptions($with));
unlike($error, qr/login trigger/, 'login event triggers do not fire in the past');
$error = prints('SELECT 1;', 1, 'a session of the present');
like($error, qr/login trigger/, 'they do in the present');

unlike(slurp_file($node->logfile), qr/leaked hash_seq_search/, 'no scan of settings is left open');
log_is_clean($node);
$node->stop;
done_testing();
