# undrop() without a moment takes the newest table of that name as it was just before its DROP.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('moment_of_drop');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE SCHEMA other; CREATE SCHEMA lost; CREATE TABLE before_all (a int)');

# What the newest dropped table of that name held, after these statements.
sub comes_back
{
	my ($sql, $expected, $name, $table) = @_;
	$table //= 't';
	$node->safe_psql('postgres', $sql);
	my ($out, $error) = try_sql($node, "SELECT outcome FROM strata.undrop('$table') WHERE kind = 'table'; SELECT string_agg(a::text, ',' ORDER BY a) FROM $table; DROP TABLE $table");
	is($out, "restored\n$expected", $name) or diag($error);
	return;
}

comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (1); DROP TABLE t', 1, 'the only one');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (2); DROP TABLE t; CREATE TABLE t (a int); INSERT INTO t VALUES (3); DROP TABLE t', 3, 'the newest of two');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (4); BEGIN; INSERT INTO t VALUES (5); DROP TABLE t; COMMIT', 4, 'what its own transaction did before is not committed just before');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (6); BEGIN; SAVEPOINT s; DROP TABLE t; RELEASE s; COMMIT', 6, 'a drop in a subtransaction');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (7); BEGIN; DROP TABLE t; ROLLBACK; INSERT INTO t VALUES (8); BEGIN; SAVEPOINT s; DROP TABLE t; ROLLBACK TO s; INSERT INTO t VALUES (9); COMMIT; DROP TABLE t',
	'7,8,9', 'drops that were rolled back are none');
comes_back(q{CREATE TABLE t (a int); INSERT INTO t VALUES (10); BEGIN; DROP TABLE t; PREPARE TRANSACTION 'p'; SELECT pg_switch_wal(); CREATE TABLE x (a int); INSERT INTO x VALUES (1); COMMIT PREPARED 'p'},
	10, 'a drop that was prepared');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (11); ALTER TABLE t RENAME TO u; CREATE TABLE t (a int); INSERT INTO t VALUES (12); DROP TABLE t; DROP TABLE u', 12, 'one that was renamed away is not meant');
comes_back('CREATE TABLE u (a int); INSERT INTO u VALUES (13); ALTER TABLE u RENAME TO t; DROP TABLE t', 13, 'one that was renamed to it is');
comes_back('CREATE TABLE other.t (a int); INSERT INTO other.t VALUES (14); CREATE TABLE t (a int); INSERT INTO t VALUES (15); DROP TABLE t; DROP TABLE other.t', 15, 'without a schema the search path counts');
comes_back('SELECT 1', 14, 'with a schema that one', 'other.t');
comes_back('CREATE TABLE lost.t (a int); INSERT INTO lost.t VALUES (16); DROP SCHEMA lost CASCADE; CREATE SCHEMA lost', 16, 'one of a schema that was made anew', 'lost.t');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (17); DROP TABLE t; VACUUM pg_class; VACUUM FULL pg_class; VACUUM FULL pg_class', 17, 'pg_class was vacuumed and rewritten since');
comes_back('CREATE TABLE t (a int); INSERT INTO t VALUES (18); BEGIN; LOCK t; SELECT 1 FROM pg_class WHERE relname = $$t$$ FOR UPDATE; SAVEPOINT s; DROP TABLE t; COMMIT', 18, 'the row of pg_class was locked before');
comes_back('CREATE TABLE "T ""x""" (a int); INSERT INTO "T ""x""" VALUES (19); DROP TABLE "T ""x"""', 19, 'an odd name', '"T ""x"""');
comes_back("CREATE TABLE t (a int); INSERT INTO t VALUES (20); DROP TABLE t; DO \$\$ BEGIN FOR i IN 1 .. 2000 LOOP EXECUTE 'CREATE TABLE many_' || i || ' (a int)'; END LOOP; END \$\$; DO \$\$ BEGIN FOR i IN 1 .. 2000 LOOP EXECUTE 'DROP TABLE many_' || i; IF i % 200 = 0 THEN COMMIT; END IF; END LOOP; END \$\$; VACUUM pg_class; CHECKPOINT",
	20, 'pg_class became longer and shorter');
$node->restart;
comes_back('SELECT 1', 20, 'after a restart of the server');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE postgres STRATEGY file_copy');
sql_fails($node, "SELECT strata.undrop('t')", qr/42P01: no relation "t" has been dropped in this database since/, 'what the template dropped is not a copy\'s', db => 'copy');
sql_fails($node, "SELECT strata.undrop('never')", qr/42P01: no relation "never" has been dropped in this database since/, 'what never was');
sql_fails($node, "SELECT strata.undrop('before_all')", qr/42P01: no relation "before_all" has been dropped/, 'what is there was not dropped');

is($node->safe_psql('postgres', "SELECT count(*) = count(DISTINCT oid) FROM strata.ended_objects('pg_class', name => 'many_77')"), 't', 'each object ends once');
sql_fails($node, "SELECT * FROM strata.ended_objects('pg_statistic')", qr/22023: cannot look for dropped objects in "pg_statistic"/, 'catalogs without names are refused');
log_is_clean($node);
$node->stop;
done_testing();
