# strata.travel_time and strata.travel_lsn: how they are set, when they take effect, and what they refuse.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('settings');
$node->safe_psql('postgres', 'CREATE EXTENSION strata');
$node->safe_psql('postgres', 'CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE ROLE traveller SUPERUSER LOGIN');
my $before_lsn = lsn_in($node);
$node->safe_psql('postgres', 'CREATE TABLE last_before (a int)');
my $then = now_in($node);
my $then_lsn = lsn_in($node);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2), (3)');
my $count = 'SELECT count(*) FROM t;';
my $go = "SET strata.travel_time = '$then';";

# What a session prints, line by line.
sub prints
{
	my ($sql, $expected, $name, %option) = @_;
	my ($out, $error) = try_sql($node, $sql, %option);
	is($out, $expected, $name) or diag($error);
	return $error;
}

# The error of one statement in a session that is at `then`, and that it stayed there.
sub refused
{
	my ($statement, $pattern, $name) = @_;
	my $error = prints("$go $statement; $count", 1, "the session stays where it was: $name");
	like($error, $pattern, $name);
	return;
}

# Text forms.
my $epoch = $node->safe_psql('postgres', "SELECT extract(epoch FROM timestamptz '$then') * 1000000");
for my $form (
	[ 'ISO, DMY', "to_char(timestamptz '$then', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", 'ISO 8601 with T and Z' ],
	[ 'ISO, DMY', "to_char(timestamptz '$then', 'DD/MM/YYYY HH24:MI:SS.US') || ' UTC'", 'DateStyle DMY' ],
	[ 'German', "(timestamptz '$then')::text", 'DateStyle German' ],
	[ 'SQL, MDY', "(timestamptz '$then')::text", 'DateStyle SQL' ],
	[ 'ISO, MDY', "to_char(timestamptz '$then' + interval '3 h', 'YYYY-MM-DD HH24:MI:SS.US') || '+03'", 'an offset' ])
{
	my ($style, $text, $what) = @$form;
	prints("SET datestyle = '$style'; SELECT $text AS moment \\gset\nSET strata.travel_time = :'moment'; $count",
		1, "strata.travel_time takes any form that PostgreSQL accepts: $what");
}
prints(
	"SET timezone = 'Asia/Tokyo'; SELECT timestamptz '$then' AT TIME ZONE 'Asia/Tokyo' AS moment \\gset
SET strata.travel_time = :'moment'; $count", 1, 'a time without a zone is read in the session\'s TimeZone');
prints("SET strata.travel_time = 'now'; $count", 3, '"now" waits until ingest has reached it');
prints("SET strata.travel_time = 'now'; SELECT pg_is_in_recovery();", 't', 'at "now" the session travels all the same');
prints("SET strata.travel_lsn = '$then_lsn'; $count", 1, 'strata.travel_lsn takes an LSN');
prints("SELECT strata.lsn_at('$then') <= '$then_lsn' AND strata.lsn_at('$then') > '$before_lsn'", 't', 'a time is where the last commit before it ended');

# Names that are not settings.
for my $sql ("SET strata.retention_tme = '7 days'", "ALTER SYSTEM SET strata.retention_tme = '7 days'", "ALTER ROLE traveller SET strata.travel_tme = 'now'", "SELECT set_config('strata.x', 'y', false)")
{
	my $error = prints($sql, '', "a setting that strata has not is refused: $sql");
	like($error, qr/ERROR: .*invalid configuration parameter name "strata\.\w+".*DETAIL:  "strata" is a reserved prefix/s, 'as a name that is reserved');
}
for my $sql ('SET strata.enabled = on', "ALTER SYSTEM SET strata.enabled = 'off'")
{
	like(prints($sql, '', $sql), qr/ERROR: .*unrecognized configuration parameter "strata.enabled".*HINT:  The parameter is named strata_enabled/s, 'the hint names the setting');
}
like((try_sql($node, 'SELECT 1', options => '-c strata.travel_tme=now'))[1], qr/FATAL|reserved prefix/, 'a moment that is misspelled at connection does not show the present');

# Errors.
refused("SET strata.travel_lsn = '$then_lsn'", qr/22023.*cannot set "strata.travel_lsn" while "strata.travel_time" is set.*RESET strata.travel_time/s,
	'strata.travel_lsn refuses while strata.travel_time is set');
my ($out, $error) = try_sql($node, "SET strata.travel_lsn = '$then_lsn'; $go $count RESET strata.travel_lsn; $go $count");
like($error, qr/cannot set "strata.travel_time" while "strata.travel_lsn" is set/,
	'strata.travel_time refuses while strata.travel_lsn is set');
is($out, "1\n1", 'after RESET of the one the other may be set');
refused("SET strata.travel_time = '2999-01-01 00:00+00'",
	qr/22023: +cannot travel to 2999-01-01 00:00:00\+00: it is in the future.*Moments from 2\d\d\d-.* to 2\d\d\d-.* can be reached/s,
	'a time in the future is an error with SQLSTATE, the value and the reachable range');
refused("SET strata.travel_time = '2001-01-01 00:00+00'",
	qr/22023: +cannot travel to 2001-01-01 00:00:00\+00: history does not reach back.*Moments from .* to .* can be reached/s,
	'a time before the horizon is an error with SQLSTATE, the value and the reachable range');
refused("SET strata.travel_time = 'yesterday-ish'", qr/22007: .*"yesterday-ish"/, 'an unparsable time is an error with SQLSTATE and the value');
refused("SET strata.travel_time = 'infinity'", qr/22023: .*future/, 'infinity is a time in the future');
refused("SET strata.travel_time = '-infinity'", qr/22023: .*back that far/, '-infinity is a time before the horizon');
for my $lsn ([ 'FFFF/0', qr/22023: +cannot travel to LSN FFFF\/0: no WAL has been written there yet.*can be reached/s, 'beyond the end of WAL' ],
	[ '0/100', qr/22023: +cannot travel to LSN 0\/100: history does not reach back.*can be reached/s, 'before the horizon' ],
	[ 'north', qr/22P02: .*"north"/, 'that is none' ])
{
	my ($out, $error) = try_sql($node, "SET strata.travel_lsn = '$lsn->[0]'; $count");
	like($error, $lsn->[1], "an LSN $lsn->[2] is an error with SQLSTATE, the value and the reachable range");
	is($out, 3, "the session stays in the present after an LSN $lsn->[2]");
}
prints("$go $count SET strata.travel_time = ''; $count", "1\n3", 'an empty time is the present');

# Ingest is held still while sessions wait for it.
my $ingest = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata ingest'");
kill 'STOP', $ingest;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (4)');
my $waited = prints("SET statement_timeout = '300ms'; SET strata.travel_time = 'now'; SHOW strata.travel_time; SELECT max(a) FROM t;", "\n4",
	'where a wait for ingest is cancelled, the session stays in the present');
like($waited, qr/57014: /, 'a wait for ingest can be cancelled');
my $waiting = $node->background_psql('postgres');
$waiting->{stdin} .= "SET strata.travel_time = 'now'; SELECT max(a) FROM t;\n";
$waiting->{run}->pump_nb;
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event ~ '^Strata' AND backend_type = 'client backend'"),
	'a session that waits for ingest shows a wait event');
kill 'CONT', $ingest;
is($waiting->query_safe('SELECT 1'), "4\n1", 'when ingest goes on, "now" is reached with everything that was committed');
$waiting->quit;
$node->safe_psql('postgres', 'DELETE FROM t WHERE a = 4');

# When and how.
prints("$go SHOW strata.travel_time; RESET strata.travel_time; SHOW strata.travel_time; $count", "$then\n\n3",
	'SHOW tells the moment, and RESET returns to the present');
prints("SELECT '' FROM set_config('strata.travel_time', '$then', false); $count", "\n1", 'set_config travels');
prints("$go $count DISCARD ALL; $count", "1\n3", 'DISCARD ALL returns to the present');
prints("$go $count RESET ALL; $count", "1\n3", 'RESET ALL returns to the present');
prints("BEGIN; SET LOCAL strata.travel_time = '$then'; $count COMMIT; $count", "1\n3",
	'SET LOCAL is in effect in its block and ends at COMMIT');
prints("BEGIN; SET LOCAL strata.travel_time = '$then'; $count ROLLBACK; $count", "1\n3", 'SET LOCAL ends at ROLLBACK');
prints("BEGIN; $go $count COMMIT; $count", "1\n1", 'SET in a block outlives COMMIT');
prints("BEGIN; $go $count ROLLBACK; $count", "1\n3", 'SET in a block ends at ROLLBACK');
prints("$go BEGIN; RESET strata.travel_time; $count ROLLBACK; $count", "3\n1", 'RESET in a block is undone by ROLLBACK');
prints($count, 1, 'PGOPTIONS sets the moment at session start', options => pgoptions($then));
(my $option = pgoptions($then)) =~ s/(['\\])/\\$1/g;
is($node->safe_psql('postgres', $count, connstr => $node->connstr('postgres') . " options='$option'"), 1,
	'connection options set the moment at session start');
prints("$count RESET strata.travel_time; SHOW strata.travel_time;", "1\n$then",
	'RESET returns to the moment of the session\'s start', options => pgoptions($then));
$error = prints("BEGIN; $count $go ROLLBACK; $count", "3\n3", 'after the first query of a transaction SET changes nothing');
like($error, qr/25001: .*must be set before any query/, 'SET after the first query of a transaction is refused as SET TRANSACTION is');
$error = prints("$go BEGIN; $count SET strata.travel_time = 'now'; ROLLBACK; $count", "1\n1", 'the same within the past');
like($error, qr/25001: .*must be set before any query/, 'SET from past to past after the first query is refused');
$error = prints("BEGIN; SAVEPOINT s; $go ROLLBACK; $count", 3, 'SET in a subtransaction changes nothing');
like($error, qr/25001: /, 'SET in a subtransaction is refused');
prints("BEGIN; $go SAVEPOINT s; $count ROLLBACK TO s; $count COMMIT; $count", "1\n1\n1", 'a savepoint after SET changes nothing');
$error = prints("BEGIN; SELECT pg_current_xact_id() IS NOT NULL; $go ROLLBACK;", 't', 'a transaction with an xid goes on');
like($error, qr/25001: /, 'a session with an assigned xid cannot travel');
$error = prints("BEGIN; LOCK TABLE t; $go ROLLBACK; $count", 3, 'a transaction that holds a lock stays in the present');
$error = prints("CREATE TEMP TABLE x (a int); $go DROP TABLE x; $go $count", 1, 'after DROP of the temporary table the session can travel');
like($error, qr/55000: .*temporary tables/, 'a session with temporary tables cannot travel');
$error = prints("CREATE TEMP TABLE x (a int); DISCARD TEMP; $go $count", 1, 'DISCARD TEMP is enough to travel');
is($error, '', 'travel after DISCARD TEMP is no error');
$error = prints("BEGIN; SET LOCAL strata.travel_time = 'garbage'; SELECT 1; ROLLBACK; RESET strata.travel_time; $count", 3,
	'RESET works after a failed SET in a block');
like($error, qr/25P02/, 'a failed SET aborts its transaction as any failed statement');
prints("$go SELECT 1/0; RESET strata.travel_time; $count", 3, 'RESET works after an error');
prints("$go BEGIN; SELECT 1/0; ROLLBACK; SHOW strata.travel_time; RESET strata.travel_time; $count", "$then\n3",
	'SHOW and RESET work after a failed transaction');
prints("$go BEGIN; $count RESET strata.travel_time; COMMIT; $count", "1\n3", 'RESET after a query takes effect with the next transaction');
$error = prints("$go BEGIN; $count RESET strata.travel_time; $count COMMIT; $count", "1\n1", 'no query sees another moment than its transaction began with');
like($error, qr/25001: .*changed after the transaction's first query/, 'a query after RESET in a block that has queried is refused');

for my $case (
	[ "SET strata.travel_time = '$then'; SELECT count(*) FROM t", 1, 'SET and SELECT in one query string' ],
	[ "SELECT 1; SET strata.travel_time = '$then'; SELECT count(*) FROM t", qr/25001|must be set before/, 'SET after SELECT in one query string' ])
{
	my ($sql, $expected, $what) = @$case;
	my ($out, $error) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-c', $sql ], '>', \$out, '2>', \$error);
	my $last = (split /\n/, $out)[-1] // '';
	ok(ref $expected ? $error =~ $expected || $last eq '1' : $last eq $expected, "$what: the moment set is the moment seen")
	  or diag("$out$error");
}

# Stored for roles and databases.
$node->safe_psql('postgres', "ALTER ROLE traveller SET strata.travel_time = '$then'");
prints($count, 1, 'ALTER ROLE SET travels at session start', user => 'traveller');
$node->safe_psql('postgres', 'CREATE DATABASE past');
$node->safe_psql('past', 'CREATE TABLE t (a int); INSERT INTO t VALUES (1)');
my $db_then = now_in($node);
$node->safe_psql('past', 'INSERT INTO t VALUES (2)');
$node->safe_psql('postgres', "ALTER DATABASE past SET strata.travel_time = '$db_then'");
prints($count, 1, 'ALTER DATABASE SET travels at session start', db => 'past');
prints("SET strata.travel_time = ''; $count", 2, 'an empty setting leaves a moment that was set at session start', db => 'past');
for my $impossible ('2999-01-01 00:00+00', '2001-01-01 00:00+00', $then)
{
	# The present's answer: the setting can be stored whatever the session that stores it thinks of it.
	try_sql($node, "ALTER DATABASE past SET strata.travel_time = '$impossible'");
	my $error = prints("$count SET strata.travel_time = ''; $count", 2,
		"ALTER DATABASE SET to an impossible time ($impossible): no query until the session says that it wants the present", db => 'past');
	like($error, qr/WARNING.*SET strata.travel_time = ''.*ERROR/s, "the session says why ($impossible), and the way out");
}
$node->safe_psql('past', "ALTER DATABASE past RESET strata.travel_time");
prints($count, 2, 'ALTER DATABASE RESET undoes it', db => 'past');

# The file.
$node->append_conf('postgresql.conf', "strata.travel_time = '$then'");
$node->reload;
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_file_settings WHERE name = 'strata.travel_time'");
prints($count, 3, 'strata.travel_time in postgresql.conf sends no session to the past');
($out, $error) = try_sql($node, "ALTER SYSTEM SET strata.travel_time = '$then'");
like($error, qr/ERROR/, 'ALTER SYSTEM refuses strata.travel_time');

log_is_clean($node);
$node->stop;
done_testing();
