# strata.status(), layers() and levels() say what history does and costs; every wait has an event.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('status', 'strata.memtable_size' => "'4MB'", 'strata.compaction' => 'off', stats_fetch_consistency => 'none');
$node->safe_psql('postgres', 'CREATE EXTENSION strata');
is(state_of($node, 'state || layers || levels || (chain_max IS NULL) || compaction'), 'running11trueoff',
	'before anything is flushed there is the baseline');

sub load
{
	my ($name) = @_;
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $name AS SELECT i AS id, md5(i::text) AS t FROM generate_series(1, 80000) i;
UPDATE $name SET t = t || 'x' WHERE id % 3 = 0;
UPDATE $name SET t = t || 'y' WHERE id % 3 = 1;
SELECT strata.wait_for(pg_current_wal_flush_lsn());
SQL
	return;
}

load('one');
load('two');
ok($node->poll_query_until('postgres', 'SELECT lag_bytes = 0 AND lag_seconds = 0 FROM strata.status()'), 'an idle server has no lag');
ok($node->poll_query_until('postgres', 'SELECT flush_bytes > 0 AND wal_bytes > 10000000 FROM strata.status()'), 'flushed bytes and WAL are counted');
ok($node->poll_query_until('postgres', 'SELECT flush_bytes = (SELECT sum(bytes) FROM strata.layers() WHERE NOT image) FROM strata.status()'),
	'as many bytes as the layers have');
is(state_of($node, 'merge_bytes'), 0, 'and none of compaction, which is off');
is(state_of($node, 'abs(write_amplification - flush_bytes::float8 / wal_bytes) < 1e-9'), 't', 'their ratio is the write amplification');
is(state_of($node, 'chain_p50 > 0 AND chain_p50 <= chain_p90 AND chain_p90 <= chain_p99 AND chain_p99 <= chain_max'), 't',
	'chains have lengths');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM
	(SELECT level, image, count(DISTINCT (lsn_begin, lsn_end)) AS runs, count(*) AS layers, sum(bytes) AS bytes, sum(entries) AS entries
	 FROM strata.layers() GROUP BY level, image EXCEPT SELECT * FROM strata.levels()) d}),
	0, 'strata.levels() sums up strata.layers()');

# Counters survive a clean restart, and no crash.
my $since = state_of($node, 'written_since');
my $wal = state_of($node, 'wal_bytes');
$node->restart;
wait_for_history($node);
is(state_of($node, 'written_since'), $since, 'after a restart the counters go on');
cmp_ok(state_of($node, 'wal_bytes'), '>=', $wal, 'from where they were');
$node->stop('immediate');
$node->start;
wait_for_history($node);
isnt(state_of($node, 'written_since'), $since, 'after a crash they begin anew');

# Compaction.
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.compaction = on; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', q{SELECT merge_bytes > 0 AND compaction = 'idle' AND EXISTS (SELECT FROM strata.layers() WHERE level > 0 AND NOT image) FROM strata.status()}),
	'compaction is idle when it has merged, and its bytes are counted');

# A damaged layer: the merge fails and says so, the rest goes on.
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.compaction = off; SELECT pg_reload_conf()});
$node->poll_query_until('postgres', q{SELECT compaction = 'off' FROM strata.status()});
load('three');
load('four');
my $layer = $node->safe_psql('postgres', q{SELECT name FROM strata.layers() WHERE level = 0 ORDER BY lsn_begin LIMIT 1});
my $path = $node->data_dir . "/pg_strata/$layer";
open my $file, '+<:raw', $path or die $!;
seek $file, 200, 0;
read $file, my $byte, 1;
seek $file, 200, 0;
print $file chr(ord($byte) ^ 1);
close $file or die $!;
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.compaction = on; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', q{SELECT coalesce(compaction_error, '') LIKE '%}  . $layer . q{%checksum is wrong%' FROM strata.status()}),
	'a merge that fails shows its error, with the file');
is(state_of($node, q{state || coalesce(last_error, '-') || (compaction_error_time > now() - interval '1 hour')}), 'running-true', 'history runs on');

# Wait events.
ok(waits_for($node, 'strata ingest', 'StrataIngestWal'), 'ingest waits for WAL');
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.compaction = off; SELECT pg_reload_conf()});
ok(waits_for($node, 'strata flush', 'StrataFlushIdle'), 'the flush worker has nothing to do');
ok(waits_for($node, 'strata compaction', 'StrataCompactionIdle'), 'compaction is idle');
my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata ingest'});
kill 'STOP', $pid;
my $waiting = $node->background_psql('postgres');
$waiting->query_until(qr/asked/, "CREATE TABLE five (a int);\n\\echo asked\nSELECT strata.wait_for(pg_current_wal_insert_lsn());\n");
ok(waits_for($node, 'client backend', 'StrataIngestProgress'), 'a session waits for ingest');
ok($node->poll_query_until('postgres', 'SELECT lag_bytes > 0 AND lag_seconds > 0 FROM strata.status()'), 'and ingest has a lag');
kill 'CONT', $pid;
$waiting->quit;
ok($node->poll_query_until('postgres', 'SELECT lag_bytes = 0 AND lag_seconds = 0 FROM strata.status()'), 'which is gone when it goes on');
is($node->safe_psql('postgres', q{SELECT count(*) > 5 FROM pg_wait_events WHERE type = 'Extension' AND name LIKE 'Strata%'}), 't',
	'pg_wait_events lists the events');

log_is_clean($node, 'checksum is wrong');
$node->stop;
done_testing();
