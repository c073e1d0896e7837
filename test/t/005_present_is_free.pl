# A travelling session holds back nobody, and nobody holds it back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('free');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE read (id int PRIMARY KEY, filler text);
INSERT INTO read SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i;
CREATE TABLE other (id int);
INSERT INTO other SELECT generate_series(1, 100);
SQL
my $then = now_in($node);

my $past = traveller($node, $then);
$past->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$past->query_safe('DECLARE c CURSOR FOR SELECT id FROM read');
is($past->query_safe('FETCH 3 FROM c'), "1\n2\n3", 'a long travelling query has begun');

# What the present does to rows that died after the query began.
sub removed
{
	my ($table) = @_;
	my ($out, $error) = try_sql($node, "VACUUM (VERBOSE) $table");
	return $error =~ /tuples: (\d+) removed, \d+ remain, (\d+) are dead but not yet removable/ ? "$1 removed, $2 kept" : $error;
}

$node->safe_psql('postgres', 'DELETE FROM read WHERE id % 3 = 0');
is(removed('read'), '1000 removed, 0 kept', 'VACUUM of the present removes what died after a travelling query began');
is($past->query_safe('FETCH 1 FROM c; SELECT count(*) FROM read'), "4\n3000", 'the travelling transaction still sees every row');

# The same with a session of the present, so that the test above is known to be able to fail.
my $present = $node->background_psql('postgres');
$present->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other');
$node->safe_psql('postgres', 'DELETE FROM read WHERE id % 3 = 1');
is(removed('read'), '0 removed, 1000 kept', 'a transaction of the present holds back VACUUM as ever');
$present->query_safe('COMMIT');
is(removed('read'), '1000 removed, 0 kept', 'when it ends, the travelling transaction is again no obstacle');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM pg_locks l JOIN pg_class c ON l.relation = c.oid WHERE c.relname IN (\'read\', \'read_pkey\')'),
	0, 'the travelling transaction holds no lock on what it reads');

for my $ddl (
	'ALTER TABLE read ADD extra int DEFAULT 5', 'ALTER TABLE read ALTER id TYPE bigint', 'CREATE INDEX CONCURRENTLY late ON read (filler)',
	'REINDEX TABLE CONCURRENTLY read', 'VACUUM FULL read', 'LOCK TABLE read IN ACCESS EXCLUSIVE MODE', 'TRUNCATE read', 'DROP TABLE read')
{
	my $sql = $ddl =~ /^LOCK/ ? "BEGIN; $ddl; COMMIT;" : "$ddl;";
	my ($out, $error) = try_sql($node, "SET lock_timeout = '5s'; SET statement_timeout = '60s'; $sql");
	is($error, '', "a travelling query does not block DDL of the present: $ddl");
}
$node->safe_psql('postgres', 'VACUUM FULL pg_class; VACUUM FULL pg_attribute');
is($past->query_safe('MOVE FORWARD 990 IN c; FETCH 1 FROM c'), '995', 'the open cursor goes on reading the dropped table');
is($past->query_safe("FETCH ALL FROM c") =~ tr/\n//, 3000 - 995 - 1, 'the open cursor returns every row to the end');
is($past->query_safe('SELECT count(*), sum(id) FROM read; COMMIT'), '3000|4501500', 'the travelling transaction ends as it began');
is($past->query_safe('SELECT count(*) FROM read'), '3000', 'the next one sees the same');
$past->quit;

# The other way round.
my $there = traveller($node, $then);
$present->query_safe('BEGIN; ALTER TABLE other ADD x int; LOCK TABLE other, pg_proc, pg_class IN ACCESS EXCLUSIVE MODE');
$there->query_safe("SET lock_timeout = '5s'");
is($there->query_safe('SELECT count(*) FROM other'), 100, 'ACCESS EXCLUSIVE of the present, on catalogs too, does not block a travelling query');
is($there->query_safe('BEGIN; LOCK TABLE other IN ROW EXCLUSIVE MODE; SELECT count(*) FROM other; COMMIT'), 100,
	'LOCK in the past is not blocked by ACCESS EXCLUSIVE of the present');
$there->quit;
$present->query_safe('ROLLBACK');
$present->quit;

# Removal horizons of the present, while sessions travel idle in a transaction and in between.
my $idle = traveller($node, $then);
$idle->query_safe('BEGIN; SELECT count(*) FROM other');
$node->safe_psql('postgres', 'UPDATE other SET id = id + 1');
is(removed('other'), '100 removed, 0 kept', 'an idle travelling transaction holds back no VACUUM');
$idle->query_safe('COMMIT');
$idle->query_safe('RESET strata.travel_time; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other');
$node->safe_psql('postgres', 'UPDATE other SET id = id + 1');
is(removed('other'), '0 removed, 100 kept', 'back in the present, the same session holds back VACUUM as ever');
$idle->query_safe('COMMIT');
$idle->quit;

log_is_clean($node);
no_mismatch($node);
$node->stop;
done_testing();
