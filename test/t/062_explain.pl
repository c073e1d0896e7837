# EXPLAIN (ANALYZE, STRATA) shows what a query read of history.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('explain', 'strata.memtable_size' => "'4MB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE pages (id int PRIMARY KEY, t text);
INSERT INTO pages SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
UPDATE pages SET t = repeat('y', 100) WHERE id % 2 = 0;
SELECT strata.wait_for(pg_current_wal_flush_lsn());
SQL
my $lsn = lsn_in($node);
my $blocks = $node->safe_psql('postgres', "SELECT pg_relation_size('pages') / 8192");
my $query = 'SELECT count(*) FROM pages';

sub strata_of
{
	my ($out) = @_;
	my $plans = decode_json($out);
	return $plans->[0]{Strata};
}

my $first = strata_of(at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA, FORMAT JSON) $query"));
is($first->{Moment}, $lsn, 'the moment is shown');
cmp_ok($first->{'Pages Rebuilt'}, '>=', $blocks, 'the pages that were rebuilt');
cmp_ok($first->{'Redo Calls'}, '>=', 20000, 'the calls of redo routines');
cmp_ok($first->{'Layers Touched'}, '>', 0, 'the layers');
cmp_ok($first->{'Layers Touched'}, '<=', $node->safe_psql('postgres', 'SELECT count(*) FROM strata.layers()') + 4, 'each counts once');
cmp_ok($first->{'Layer Blocks Read'}, '>', 0, 'the blocks of them');
cmp_ok($first->{'Layer Bytes Read'}, '>', 10 * $first->{'Layer Blocks Read'}, 'the bytes of them');
cmp_ok($first->{Time}, '>', 0, 'the time');
cmp_ok($first->{Planning}{'Pages Rebuilt'}, '>', 0, 'and planning, which reads catalogs of the past, apart');

my $second = strata_of(at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA, FORMAT JSON) $query"));
is($second->{'Pages Rebuilt'}, 0, 'another session finds the pages in shared buffers');

# Of transactions whose status is on another page of the commit log (32,768 each) than the catalogs'.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE late (id int);
DO $$
BEGIN
  FOR i IN 1 .. 33000 LOOP
    BEGIN
      INSERT INTO late VALUES (i);
    EXCEPTION WHEN division_by_zero THEN
      NULL;
    END;
  END LOOP;
END $$;
CHECKPOINT;
SELECT strata.wait_for(pg_current_wal_flush_lsn());
SQL
my $checkpoint = lsn_in($node);
my $late = 'EXPLAIN (ANALYZE, STRATA, FORMAT JSON) SELECT count(*) FROM late';
cmp_ok(strata_of(at_lsn($node, $checkpoint, $late))->{'Pages Rebuilt'}, '>', 1, 'the pages of the table and of the commit log');
is(strata_of(at_lsn($node, $checkpoint, $late))->{'Pages Rebuilt'}, 0,
	'what had ended at the last checkpoint, and has hint bits, needs no commit log');

# The pages of another moment, by parallel workers.
$node->safe_psql('postgres', 'UPDATE pages SET id = id WHERE id = 7');
my $later = lsn_in($node);
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;';
my $out = at_lsn($node, $later, "$parallel EXPLAIN (ANALYZE, STRATA, FORMAT JSON) $query");
like($out, qr/"Workers Launched": [12]/, 'workers are launched');
cmp_ok(strata_of($out)->{'Pages Rebuilt'}, '>=', $blocks, 'what they rebuild counts');

# Forms.
my $text = at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA, COSTS OFF) $query");
like($text, qr{^ *Strata: \Q$lsn\E pages=\d+ redo=\d+ layers=\d+ blocks=\d+ bytes=\d+ time=\d+\.\d{3}$}m, 'as text');
like(at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA, TIMING OFF) $query"), qr/Strata: .* bytes=\d+$/m, 'without time where TIMING is off');
like(at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA, FORMAT XML) $query"), qr{<Strata>\s*<Moment>\Q$lsn\E</Moment>.*<Pages-Rebuilt>\d+</Pages-Rebuilt>}s, 'as XML');
like(at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA, FORMAT YAML) $query"), qr{Strata: *\n *Moment: "\Q$lsn\E"}, 'as YAML');
like(at_lsn($node, $lsn, "PREPARE q AS $query; EXPLAIN (ANALYZE, STRATA) EXECUTE q"), qr/Strata: \Q$lsn/, 'of a prepared statement');
unlike(at_lsn($node, $lsn, "EXPLAIN (ANALYZE, STRATA OFF) $query"), qr/Strata/, 'not where it is off');
unlike(at_lsn($node, $lsn, "EXPLAIN (ANALYZE) $query"), qr/Strata/, 'nor by itself');

my $present = strata_of($node->safe_psql('postgres', "EXPLAIN (ANALYZE, STRATA, FORMAT JSON) $query"));
is("$present->{Moment} $present->{'Pages Rebuilt'} $present->{'Layers Touched'} $present->{Planning}{'Pages Rebuilt'}", 'present 0 0 0',
	'a query of the present reads no history');
my ($ignored, $error) = try_sql($node, "EXPLAIN (STRATA) $query");
like($error, qr/22023: EXPLAIN option STRATA requires ANALYZE/, 'without ANALYZE there is nothing to show');
($ignored, $error) = try_sql($node, "EXPLAIN (ANALYZE, STRATA) SELECT 1 / (id - 1) FROM pages; EXPLAIN (ANALYZE, STRATA) SELECT 1");
like($error, qr/22012/, 'a query that fails');
like($ignored, qr/Strata: present pages=0/, 'does no harm to the next one');

log_is_clean($node);
$node->stop;
done_testing();
