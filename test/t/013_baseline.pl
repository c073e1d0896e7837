# How history begins, what it needs, and the functions that tell about it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# A cluster that has been in use for a while without strata.
my $node = new_node('existing', start => 0, strata_enabled => 'off', log_statement => 'none', track_commit_timestamp => 'on');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE old (a int PRIMARY KEY, b text);
INSERT INTO old SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
CREATE TABLE locked AS SELECT generate_series(1, 50) AS a;
CREATE DATABASE other;
DELETE FROM old WHERE a % 4 = 0;
BEGIN; SAVEPOINT s; DELETE FROM old WHERE a < 100; ROLLBACK TO s; UPDATE old SET b = 'kept' WHERE a = 1; COMMIT;
BEGIN; UPDATE old SET b = 'lost'; ROLLBACK;
SQL
$node->safe_psql('other', 'CREATE TABLE here AS SELECT generate_series(1, 100) AS a');
# Multixacts that are older than the baseline.
my @lockers = map { $node->background_psql('postgres') } 1 .. 2;
$_->query_safe('BEGIN; SELECT count(*) FROM (SELECT a FROM locked FOR SHARE) l') for @lockers;
$_->query_safe('COMMIT') for @lockers;
$_->quit for @lockers;
$node->stop;
$node->append_conf('postgresql.conf', 'strata_enabled = on');
$node->start;

# The server is in use while the baseline is taken.
my $writer = $node->background_psql('postgres', on_error_stop => 0);
$writer->{stdin} .= "DO 'BEGIN FOR i IN 1 .. 300 LOOP UPDATE old SET b = i WHERE a % 97 = i % 97; COMMIT; END LOOP; END';\n";
$writer->{run}->pump_nb;
$node->safe_psql('postgres', 'CREATE EXTENSION strata');
is($node->safe_psql('postgres', 'SELECT count(*) FROM old'), 15000, 'the server answers while the baseline is taken');
my ($early) = try_sql($node, 'SELECT state, baseline_progress BETWEEN 0 AND 1, horizon_lsn IS NULL OR baseline_progress = 1 FROM strata.status()');
like($early, qr/^(starting|baseline|running)\|t\|t$/, 'strata.status() shows the progress of the baseline');
wait_for_history($node);
$writer->quit;

is($node->safe_psql('postgres', 'SELECT state, baseline_progress, last_error, hint FROM strata.status()'), 'running|1||',
	'when the baseline is complete, history runs');
my $past = remember(
	$node, 'postgres',
	'a table of an existing cluster' => 'SELECT count(*), sum(a), md5(string_agg(b, NULL ORDER BY a)) FROM old',
	'rows that were locked together before the baseline' => 'SELECT count(*) FROM locked');
my $other = remember($node, 'other', 'a table of another database' => 'SELECT count(*) FROM here');
$node->safe_psql('postgres', 'DROP TABLE old, locked');
$node->safe_psql('other', 'DROP TABLE here');
still_holds($past, 'is back after it was dropped');
still_holds($other, 'is back after it was dropped');
no_mismatch($node, 'on an existing cluster every page rebuilt from history equals the present');

# The functions.
my $time = now_in($node);
my $lsn = lsn_in($node);
my %truth = (
	'strata.status() tells how far ingest is, and that it is never beyond flushed WAL' => 'ingested_lsn <= pg_current_wal_flush_lsn() + 64 AND lag_bytes >= 0 AND layers > 0 AND layer_bytes > 0 FROM strata.status()',
	'strata.horizon() and strata.status() agree' => '(h.lsn, h."time") = (s.horizon_lsn, s.horizon_time) AND h."time" < clock_timestamp() FROM strata.horizon() h, strata.status() s',
	'strata.lsn_at(horizon) is at the horizon or later' => 'strata.lsn_at("time") >= lsn FROM strata.horizon()',
	'strata.time_at(strata.lsn_at(t)) is t or earlier' => "strata.time_at(strata.lsn_at('$time')) <= '$time'",
	'strata.lsn_at(strata.time_at(lsn)) is where that commit ended' => "strata.lsn_at(strata.time_at('$lsn')) <= '$lsn' AND strata.time_at(strata.lsn_at(strata.time_at('$lsn'))) = strata.time_at('$lsn')",
	'strata.time_at is the time of the last commit' => 'strata.time_at(pg_current_wal_insert_lsn()) = "timestamp" FROM pg_last_committed_xact()',
	'strata.wait_for returns how far history is' => "strata.wait_for(pg_current_wal_insert_lsn()) >= '$lsn'",
	'strata.layers() lists the files that strata.status() counts' => '(SELECT count(*) FROM strata.layers()) >= 1 AND (SELECT sum(bytes) > 0 AND bool_and(lsn_begin < lsn_end AND entries > 0) FROM strata.layers())');
is($node->safe_psql('postgres', "SELECT $truth{$_}"), 't', $_) for sort keys %truth;
my %error = (
	"strata.lsn_at('2999-01-01')" => qr/22023: .*future/,
	"strata.lsn_at('2001-01-01')" => qr/22023: .*back that far/,
	"strata.time_at('FFFF/0')" => qr/22023: .*future/,
	"strata.time_at('0/10')" => qr/22023: .*before the horizon/,
	"strata.wait_for('FFFF/0')" => qr/22023: .*future/);
like((try_sql($node, "SELECT $_"))[1], $error{$_}, "$_ is an error") for sort keys %error;
is($node->safe_psql('postgres', 'SELECT slot_type, temporary, restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name ~ \'strata\''),
	'physical|f|t', 'ingest keeps its WAL with a physical replication slot');
like((try_sql($node, "CREATE ROLE nobody; SET ROLE nobody; SELECT state FROM strata.status(); SELECT * FROM strata.layers()"))[1],
	qr/permission denied for function layers/, 'strata.layers() is not for everybody');
is(at($node, $time, 'SELECT state FROM strata.status()'), 'running', 'strata.status() answers in the past as well');

# The horizon stays where it is.
my $horizon = $node->safe_psql('postgres', 'SELECT lsn, "time" FROM strata.horizon()');
$node->restart;
wait_for_history($node);
is($node->safe_psql('postgres', 'SELECT lsn, "time" FROM strata.horizon()'), $horizon, 'a restart takes no new baseline');
my ($before) = $node->safe_psql('postgres', 'SELECT "time" - interval \'1 ms\' FROM strata.horizon()');
like(at_error($node, $before, 'SELECT 1'), qr/22023: .*history does not reach back that far/, 'nothing before the horizon can be reached');
my ($at_horizon) = split /\|/, $node->safe_psql('postgres', 'SELECT "time" FROM strata.horizon()');
like(at($node, $at_horizon, 'SELECT count(*) > 300 FROM pg_class'), qr/^t$/, 'the horizon itself can be reached');
log_is_clean($node);
$node->stop;

# What history needs.
my $poor = new_node('poor', start => 0, wal_level => 'minimal', max_wal_senders => 0);
for my $case (
	[ 'wal_level = minimal', 'max_replication_slots = 0', qr/wal_level/, 'wal_level = replica' ],
	[ 'max_replication_slots = 0', '', qr/max_replication_slots/, 'max_replication_slots = 4' ],
	[ 'full_page_writes = off', '', qr/full_page_writes/, 'full_page_writes = on' ])
{
	my ($setting, $also, $name, $cure) = @$case;
	$poor->append_conf('postgresql.conf', "$setting\n$also");
	my $size = -s $poor->logfile // 0;
	$poor->start;
	$poor->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS strata');
	$poor->poll_query_until('postgres', "SELECT state = 'stopped' FROM strata.status()") or diag("$setting is not refused");
	like(state_of($poor, 'last_error || hint'), $name, "$setting is refused: strata.status() says what is wrong and what to set");
	ok($poor->wait_for_log(qr/strata: history.*$name.*\n.*HINT:.*$name/, $size), "$setting is refused: the log says so too");
	like((try_sql($poor, "SET strata.travel_time = 'now'"))[1], qr/55000: .*no history.*\n.*$name/s, "$setting is refused: travel says so too");
	is($poor->safe_psql('postgres', 'SELECT 1'), 1, "$setting is refused, and the server runs all the same");
	$poor->append_conf('postgresql.conf', $cure);
	$setting =~ /full_page_writes/ ? $poor->reload : $poor->stop;
}
$poor->poll_query_until('postgres', "SELECT state <> 'stopped' FROM strata.status()") or die 'the reload has no effect';
wait_for_history($poor);
is(state_of($poor, 'state, last_error'), 'running|', 'history begins by itself once everything is set');
log_is_clean($poor);
$poor->stop;
done_testing();
