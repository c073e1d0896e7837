# A number that belonged to one relation or database, and later to another, brings nothing of the one into the other.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('reused');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION strata;
CREATE EXTENSION amcheck;
CREATE EXTENSION pg_walinspect;
CREATE FUNCTION set_next_oid(oid) RETURNS void AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_next_oid', 'strata_test_set_next_oid' LANGUAGE c;
SQL

my @stations;

sub station
{
	my ($what, $db, @queries) = @_;
	push @stations, [ $what, remember($node, $db, @queries) ];
	return;
}

sub file_of
{
	my ($relation) = @_;
	return $node->safe_psql('postgres', "SELECT pg_relation_filenode('$relation')");
}

# A table's number.
$node->safe_psql('postgres', 'CREATE TABLE first (a int, b text)');
my $number = file_of('first');
$node->safe_psql('postgres', "INSERT INTO first SELECT i, repeat('first', 200) FROM generate_series(1, 500) i");
$node->safe_psql('postgres', 'VACUUM first');
# VACUUM ends without a commit of its own.
commit_in($node);
station('a table', 'postgres',
	rows => 'SELECT count(*), sum(a), min(length(b)) FROM first',
	sizes => "SELECT pg_relation_filenode('first'), pg_relation_size('first'), pg_relation_size('first', 'vm')");

# The row of pg_class is there until VACUUM, the file, empty, until the next checkpoint.
sub free_number
{
	$node->safe_psql('postgres', $_) for ('VACUUM pg_class', 'CHECKPOINT', "SELECT set_next_oid($number)");
	return;
}

sub drop_and_reuse
{
	my ($drop, $create, $name) = @_;
	$node->safe_psql('postgres', $drop);
	free_number();
	$node->safe_psql('postgres', $create);
	is(file_of($name), $number, "$name has the same number");
	return;
}
drop_and_reuse('DROP TABLE first', 'CREATE TABLE second (x text)', 'second');
station('an empty table after it', 'postgres',
	rows => 'SELECT count(*) FROM second',
	sizes => "SELECT pg_relation_filenode('second'), pg_relation_size('second'), pg_relation_size('second', 'vm')");
$node->safe_psql('postgres', "INSERT INTO second SELECT i FROM generate_series(1, 300) i");
station('a smaller table after it', 'postgres',
	rows => 'SELECT count(*), min(x), max(x) FROM second',
	sizes => "SELECT pg_relation_filenode('second'), pg_relation_size('second'), pg_relation_size('second', 'vm')",
	amcheck => "SELECT * FROM verify_heapam('second')");
drop_and_reuse('DROP TABLE second; CREATE TABLE other AS SELECT i AS a FROM generate_series(1, 2000) i', 'CREATE INDEX third ON other (a)', 'third');
station('an index after it', 'postgres',
	'by the index' => 'SET enable_seqscan = off; SELECT a FROM other WHERE a = 1234',
	sizes => "SELECT pg_relation_filenode('third'), pg_relation_size('third')",
	amcheck => "SELECT bt_index_check('third', true)");
drop_and_reuse('DROP INDEX third', 'CREATE UNLOGGED TABLE fourth (a int PRIMARY KEY)', 'fourth');
$node->safe_psql('postgres', 'INSERT INTO fourth VALUES (1)');
station('an unlogged table after it', 'postgres', name => "SELECT relname, relpersistence FROM pg_class WHERE relfilenode = $number");
drop_and_reuse('DROP TABLE fourth', 'CREATE SEQUENCE fifth START 77', 'fifth');
station('a sequence after it', 'postgres', value => 'SELECT last_value, is_called FROM fifth', size => "SELECT pg_relation_size('fifth'), pg_relation_size('fifth', 'init')");
drop_and_reuse('BEGIN; DROP SEQUENCE fifth; COMMIT', 'CREATE TABLE sixth AS SELECT i AS a FROM generate_series(1, 5) i', 'sixth');
station('a table again', 'postgres', rows => 'SELECT array_agg(a) FROM sixth', sizes => "SELECT pg_relation_size('sixth'), pg_relation_size('sixth', 'vm'), pg_relation_size('sixth', 'init')");

# A transaction that creates a file and does not end before a crash leaves it behind. Whoever removes it by hand makes room
# for another of that number.
$node->safe_psql('postgres', 'DROP TABLE sixth');
free_number();
my $session = $node->background_psql('postgres');
my $path = $session->query_safe("BEGIN; CREATE TABLE unfinished AS SELECT i AS a, repeat('lost', 500) AS b FROM generate_series(1, 200) i; SELECT pg_relation_filepath('unfinished')");
like($path, qr/\/$number$/, 'a table of a running transaction has the number');
my $unfinished = $session->query_safe("SELECT pg_relation_size('unfinished')");
$node->safe_psql('postgres', 'SELECT pg_current_xact_id(); CREATE TABLE flushed (a int)');
$node->stop('immediate');
eval { $session->quit };
$node->start;
wait_for_history($node);
is(-s $node->data_dir . "/$path", $unfinished, 'after a crash its file is still there');
$node->stop;
unlink($node->data_dir . "/$path") or die "could not remove $path: $!";
$node->start;
wait_for_history($node);
free_number();
$node->safe_psql('postgres', 'CREATE TABLE seventh (a int)');
is(file_of('seventh'), $number, 'a table has its number');
station('an empty table after the crash', 'postgres', rows => 'SELECT count(*) FROM seventh', sizes => "SELECT pg_relation_size('seventh')");
$node->safe_psql('postgres', 'INSERT INTO seventh VALUES (7)');
station('a table after the crash', 'postgres', rows => 'SELECT count(*), sum(a) FROM seventh', sizes => "SELECT pg_relation_size('seventh')");

# Rewritten again and again: each time another number.
$node->safe_psql('postgres', 'CREATE TABLE rewritten AS SELECT i AS a FROM generate_series(1, 1000) i');
for my $round (1 .. 8)
{
	$node->safe_psql('postgres', "DELETE FROM rewritten WHERE a % 8 = $round - 1");
	$node->safe_psql('postgres', $_) for ('VACUUM FULL rewritten', 'ALTER TABLE rewritten ALTER a TYPE ' . ($round % 2 ? 'bigint' : 'int'), "TRUNCATE rewritten; INSERT INTO rewritten SELECT i FROM generate_series(1, 500 * $round) i");
	station("rewritten $round times", 'postgres', rows => 'SELECT count(*), sum(a), count(*) FILTER (WHERE a % 8 = 3) FROM rewritten', sizes => "SELECT pg_relation_size('rewritten'), pg_relation_filenode('rewritten')");
}

# A database's OID, and with it the numbers of everything in the template.
$node->safe_psql('postgres', 'CREATE DATABASE template');
$node->safe_psql('template', "CREATE TABLE t AS SELECT i AS a, 'old template' AS b FROM generate_series(1, 1000) i; CREATE INDEX t_a ON t (a)");
# A bulk load extends files ahead of WAL.
$node->safe_psql('template', 'VACUUM t');
my @queries = (
	database => 'SELECT current_database(), oid FROM pg_database WHERE datname = current_database()',
	rows => 'SELECT count(*), sum(a), min(b), max(b) FROM t',
	'by the index' => 'SET enable_seqscan = off; SELECT a, b FROM t WHERE a = 17',
	sizes => "SELECT pg_relation_size('t'), pg_relation_size('t_a'), pg_relation_filenode('t')");
my (@lives, @drops);

sub life
{
	my ($what, $db) = @_;
	push @lives, [ $what, remember($node, $db, @queries) ];
	return;
}

for my $life (1 .. 4)
{
	my $db = "life$life";
	my $strategy = $life % 2 ? 'file_copy' : 'wal_log';
	$node->safe_psql('postgres', "CREATE DATABASE $db OID 50000 TEMPLATE template STRATEGY $strategy");
	life("$db, by $strategy", $db);
	$node->safe_psql($db, "UPDATE t SET b = '$db' WHERE a % 2 = 0; DELETE FROM t WHERE a > 1000 - 100 * $life");
	life("$db, by $strategy, changed", $db);
	$node->safe_psql('template', "INSERT INTO t SELECT i, 'template before life " . ($life + 1) . "' FROM generate_series(1, 700) i; VACUUM FULL pg_class") if $life > 1;
	next if $life == 4;
	my ($time, $begin) = (now_in($node), lsn_in($node));
	$node->safe_psql('postgres', "DROP DATABASE $db");
	# Where the files are gone and the commit is still to come.
	my $gone = $node->safe_psql('postgres',
		"SELECT end_lsn FROM pg_get_wal_records_info('$begin', pg_current_wal_flush_lsn()) WHERE resource_manager = 'Database' AND record_type = 'DROP'");
	push @drops, { time => $time, lsn => $gone, life => $lives[-1] };
	$node->safe_psql('postgres', 'CHECKPOINT');
}

sub all_hold
{
	my ($suffix) = @_;
	still_holds($_->[1], "($_->[0]) $suffix") for @stations;
	# Who is connected to a database travels in whatever had its OID then.
	for my $life (@lives)
	{
		local $life->[1]{db} = 'life4';
		still_holds($life->[1], "($life->[0]) $suffix");
	}
	return;
}
all_hold('later');
like(at_error($node, $stations[-1][1]{time}, 'SELECT 1', 'life4'), qr/3D000: .*did not exist then/, 'before the first of them nothing had the OID');
for my $drop (@drops)
{
	# Between the record of DROP DATABASE and its commit, the row is there, the files are not.
	like(at_lsn($node, $drop->{lsn}, 'SELECT 1', 'life4'), qr/3D000: .*database "life4" was being dropped then/,
		'a database is not to be had while it is dropped');
	# A time before the commit is one before the drop.
	local $drop->{life}[1]{time} = $drop->{time};
	local $drop->{life}[1]{db} = 'life4';
	still_holds($drop->{life}[1], "($drop->{life}[0]) right before it is dropped");
}
$node->restart;
all_hold('after a restart');

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
