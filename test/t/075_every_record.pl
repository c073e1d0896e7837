# After every single WAL record of a window with page splits, running and prepared transactions, CREATE INDEX, rewrites and
# VACUUM, a session sees the rows that had committed by then, and every index agrees with its table.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('every');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION amcheck;
CREATE EXTENSION pg_walinspect;
-- A key that fills a page of a B-tree with seven others.
CREATE FUNCTION wide(int) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT string_agg(md5((k * $1)::text), '') FROM generate_series(1, 30) k $$;
CREATE TABLE t (a int, b text STORAGE PLAIN);
CREATE UNIQUE INDEX t_a ON t (a);
CREATE INDEX t_b ON t (b);
CREATE INDEX t_hash ON t USING hash (a);
CREATE INDEX t_gin ON t USING gin ((ARRAY[a % 5, a % 3]));
CREATE INDEX t_gist ON t USING gist (int8range(a, a + 3));
CREATE INDEX t_spgist ON t USING spgist (b);
INSERT INTO t SELECT i, wide(i) FROM generate_series(1, 8) i;
SQL

my $rows = q{SELECT format('%s %s %s %s', count(*), sum(a), md5(string_agg(a || b, ',' ORDER BY a)), pg_typeof(min(a))) FROM t};
# Statements one after another, each with one commit at most that changes rows: what was there before and after.
my @steps;

sub step
{
	my ($what, $run) = @_;
	my $before = lsn_in($node);
	$run->();
	push @steps, { what => $what, begin => $before, end => lsn_in($node), rows => $node->safe_psql('postgres', $rows) };
	return;
}

sub step_sql
{
	my ($what, @sql) = @_;
	return step($what, sub { $node->safe_psql('postgres', $_) for @sql });
}
my $other = $node->background_psql('postgres', on_error_stop => 1);

$node->safe_psql('postgres', 'CHECKPOINT');
step_sql('what was there', 'SELECT 1');
step_sql('rows that split pages', 'INSERT INTO t SELECT i, wide(i) FROM generate_series(9, 24) i');
step('a transaction runs', sub { $other->query_safe('BEGIN; INSERT INTO t SELECT i, wide(i) FROM generate_series(100, 104) i; UPDATE t SET b = b WHERE a < 4') });
step_sql('another one overtakes it', 'UPDATE t SET b = wide(a + 1000) WHERE a BETWEEN 5 AND 7');
step_sql('one is rolled back', 'BEGIN; DELETE FROM t WHERE a > 10; INSERT INTO t VALUES (999, wide(999)); ROLLBACK');
step('the first one ends', sub { $other->query_safe('COMMIT') });
step_sql('one is prepared', "BEGIN; DELETE FROM t WHERE a % 4 = 0; SAVEPOINT s; INSERT INTO t SELECT i, wide(i) FROM generate_series(200, 203) i; PREPARE TRANSACTION 'p'");
step_sql('one of the present runs beside it', 'INSERT INTO t VALUES (300, wide(300))');
step_sql('the prepared one commits', "COMMIT PREPARED 'p'");
step_sql('VACUUM', 'VACUUM t');
step_sql('CREATE INDEX', 'CREATE INDEX more ON t (a, b)');
step_sql('CREATE INDEX CONCURRENTLY', 'CREATE INDEX CONCURRENTLY most ON t (b, a)');
step_sql('a rewrite', 'ALTER TABLE t ALTER a TYPE bigint');
step_sql('a rewrite that is rolled back', 'BEGIN; ALTER TABLE t ALTER a TYPE int; TRUNCATE t; ROLLBACK');
step_sql('a deletion of whole pages', 'DELETE FROM t WHERE a < 22');
step_sql('VACUUM of emptied pages', 'VACUUM (TRUNCATE) t');
step_sql('TRUNCATE', 'BEGIN; TRUNCATE t; INSERT INTO t SELECT i, wide(i) FROM generate_series(1, 3) i; COMMIT');
step_sql('REINDEX CONCURRENTLY', 'REINDEX TABLE CONCURRENTLY t');
$other->quit;

my ($begin, $end) = ($steps[0]{begin}, $steps[-1]{end});
my @records = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', <<"SQL");
SELECT end_lsn - '0/0', end_lsn, resource_manager, record_type FROM pg_get_wal_records_info('$begin', '$end') ORDER BY 1
SQL
my %kinds;
++$kinds{"$_->[2] $_->[3]"} for @records;
note(scalar(@records) . " records: " . join(', ', map { "$_ $kinds{$_}" } sort keys %kinds));
ok($kinds{$_}, "the window holds $_") for ('Btree SPLIT_R', 'Btree INSERT_UPPER', 'Btree NEWROOT', 'Hash INSERT', 'Gin INSERT', 'Gist PAGE_UPDATE',
	'SPGist ADD_LEAF', 'Transaction COMMIT', 'Transaction ABORT', 'Transaction PREPARE', 'Transaction COMMIT_PREPARED', 'Storage CREATE');

# What a moment after each record must show.
my $place = sub { return $node->safe_psql('postgres', "SELECT '$_[0]'::pg_lsn - '0/0'") };
$_->{end_at} = $place->($_->{end}) for @steps;
my ($at_step, $expected, @expected) = (0, $steps[0]{rows});
for my $record (@records)
{
	++$at_step while $record->[0] > $steps[$at_step]{end_at};
	# Rows change with the first commit of a step that changes them: there is one only.
	$expected = $steps[$at_step]{rows} if $record->[2] eq 'Transaction' && $record->[3] =~ /^COMMIT/ || $record->[0] >= $steps[$at_step]{end_at};
	push @expected, $expected;
}

my $checks = <<"SQL";
SELECT ($rows) || (SELECT coalesce(string_agg('; heap: ' || v, ''), '') FROM verify_heapam('t') v)
  || (SELECT coalesce(string_agg(bt_index_check(indexrelid, true)::text, ''), '') FROM pg_index JOIN pg_class c ON c.oid = indexrelid
      WHERE indrelid = 't'::regclass AND indisvalid AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree'))
  || (SELECT coalesce(string_agg('; hash misses ' || s.a, ''), '') FROM (SELECT a + 0 AS a FROM t OFFSET 0) s WHERE NOT EXISTS (SELECT FROM t WHERE t.a = s.a))
  || CASE WHEN (SELECT count(*) FROM t WHERE ARRAY[a % 5, a % 3] @> ARRAY[a % 5, a % 3] AND ARRAY[a % 5, a % 3] && '{0,1,2,3,4}') <> (SELECT count(*) FROM t) THEN '; gin' ELSE '' END
  || CASE WHEN (SELECT count(*) FROM t WHERE int8range(a, a + 3) && '[0,100000)') <> (SELECT count(*) FROM t) THEN '; gist' ELSE '' END
  || CASE WHEN (SELECT count(*) FROM t WHERE b >= '0' AND b < 'g') <> (SELECT count(*) FROM t) THEN '; spgist' ELSE '' END;
SQL
my $script = "SET enable_seqscan = off;\n" . join('', map { "SET strata.travel_lsn = '$_->[1]';\n$checks" } @records);
my ($out, $error) = try_sql($node, $script);
my @seen = split /\n/, $out;
my @wrong = map { "after $records[$_][2] $records[$_][3] at $records[$_][1]: $seen[$_], not $expected[$_]" }
  grep { ($seen[$_] // '') ne $expected[$_] } 0 .. $#records;
is(scalar(@seen), scalar(@records), 'every moment can be read');
is($error, '', 'without an error');
is(join("\n", splice(@wrong, 0, 10)), '', 'after each of ' . @records . ' records the rows are those that had committed, and no index or page is damaged');

log_is_clean($node);
$node->stop;
done_testing();
