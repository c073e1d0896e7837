# Parallel workers travel with their leader.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('parallel', max_worker_processes => 16);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b text, c int);
INSERT INTO t SELECT i, md5(i::text), i % 100 FROM generate_series(1, 20000) i;
CREATE INDEX ON t (c);
CREATE TABLE parted (k int, v int) PARTITION BY HASH (k);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT i, i FROM generate_series(1, 5000) i;
CREATE FUNCTION moment_of_worker() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$SELECT current_setting('strata.travel_time')$$;
CREATE FUNCTION counts_in_worker(int) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS
  $$BEGIN RETURN (SELECT count(*) FROM parted_0 WHERE k = $1); END$$;
VACUUM ANALYZE t;
SQL
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; '
  . 'SET min_parallel_index_scan_size = 0; SET max_parallel_workers_per_gather = 2;';
my %query = (
	'a parallel sequential scan' => [ 'SELECT count(*), sum(a), min(b) FROM t', qr/Parallel Seq Scan/ ],
	'a parallel index scan' => [ 'SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SELECT count(b), sum(a) FROM t WHERE a BETWEEN 500 AND 15000', qr/Parallel Index Scan/ ],
	'a parallel index-only scan' => [ 'SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE a < 18000', qr/Parallel Index Only Scan/ ],
	'a parallel bitmap scan' => [ 'SET enable_seqscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off; SELECT count(*), sum(a) FROM t WHERE c < 30', qr/Parallel Bitmap Heap Scan/ ],
	'a parallel hash join' => [ 'SET enable_mergejoin = off; SET enable_nestloop = off; SELECT count(*), sum(x.a) FROM t x JOIN t y ON x.a = y.c', qr/Parallel Hash/ ],
	'a parallel append' => [ 'SELECT count(*), sum(v) FROM parted', qr/Parallel Append/ ],
	'a function in a worker' => [ 'SELECT count(*), sum(counts_in_worker(a)) FROM t WHERE a < 200', qr/Parallel Seq Scan|Parallel Index/ ]);
my $past = remember($node, 'postgres', map { ($_ => "$parallel $query{$_}[0]") } sort keys %query);
my $then = $past->{time};

$node->safe_psql('postgres', 'DELETE FROM t WHERE a % 2 = 0; UPDATE t SET b = NULL, c = 1; DROP TABLE parted; CREATE INDEX other ON t (b)');
$node->safe_psql('postgres', 'VACUUM FULL t');

for my $name (sort keys %query)
{
	my ($sql, $node_name) = @{ $query{$name} };
	(my $explained = $sql) =~ s/SELECT/EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT/;
	my $plan = at($node, $then, "$parallel $explained");
	like($plan, $node_name, "the plan has $name");
	like($plan, qr/Workers Launched: [12]/, "workers are launched for $name") or diag($plan);
}
still_holds($past, 'in the past answers as it did then');
is(at($node, $then, "$parallel SET parallel_leader_participation = off; SELECT DISTINCT moment_of_worker() FROM t"), $then,
	'a parallel worker knows the moment of its leader');
is(at($node, $then, "$parallel SET parallel_leader_participation = off; SELECT count(*), sum(a) FROM t"), '20000|200010000',
	'workers alone see the same LSN as their leader');

my ($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; SET debug_parallel_query = regress; SELECT count(*) FROM pg_class WHERE relname = 'parted'; SELECT count(*) FROM pg_roles WHERE rolname = current_user; SELECT sum(a) FROM t;");
is("$out$error", "1\n1\n200010000", 'debug_parallel_query runs catalog queries in workers of the past');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; $parallel SELECT sum(a) FROM t; RESET strata.travel_time; SELECT sum(a) FROM t; SET strata.travel_time = '$then'; SELECT sum(a) FROM t;");
is("$out$error", "200010000\n100000000\n200010000", 'workers follow each switch between past and present');
($out, $error) = try_sql($node, "BEGIN; SET LOCAL strata.travel_time = '$then'; $parallel SELECT sum(a) FROM t; COMMIT; SELECT sum(a) FROM t;");
is("$out$error", "200010000\n100000000", 'workers follow SET LOCAL');
($out, $error) = try_sql($node, "$parallel SELECT sum(a) FROM t", options => pgoptions($then));
is("$out$error", '200010000', 'workers follow PGOPTIONS');
like((try_sql($node, "SET strata.travel_time = '$then'; $parallel SET parallel_leader_participation = off; SELECT count(*) FROM t WHERE 1 / (a - 7) > 0"))[1],
	qr/22012: .*division by zero/, 'an error in a worker of the past reaches the leader');

log_is_clean($node);
no_mismatch($node);
$node->stop;
done_testing();
