# The versions of a table's rows: strata.versions().
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('versions');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE acct (id int PRIMARY KEY, amount numeric, note text);
INSERT INTO acct SELECT i, i, 'n' || i FROM generate_series(1, 500) i;
SQL
my $from = lsn_in($node);

# The versions from $from on as operation, transaction's age in commits and row.
sub versions_of
{
	my ($condition, %more) = @_;
	my $to = $more{to} ? "'$more{to}'" : 'NULL';
	my $all = $more{all} ? 'true' : 'false';
	my $table = $more{table} // 'acct';
	return "SELECT operation, start_lsn IS NULL, end_lsn IS NULL, v.row FROM strata.versions(NULL::$table, '$from', $to, \$\$$condition\$\$, $all) v ORDER BY start_lsn NULLS FIRST, operation, v.row";
}

sql_prints($node, versions_of('true'), '', 'nothing has changed');
$node->safe_psql('postgres', 'UPDATE acct SET amount = amount + 1 WHERE id = 7');
$node->safe_psql('postgres', 'UPDATE acct SET amount = amount + 1 WHERE id = 7');
sql_prints($node, versions_of('id = 7'), "|t|f|(7,7,n7)\nU|f|f|(7,8,n7)\nU|f|t|(7,9,n7)", 'two updates');
$node->safe_psql('postgres', 'DELETE FROM acct WHERE id = 7');
$node->safe_psql('postgres', "INSERT INTO acct VALUES (7, 0, 'again')");
sql_prints($node, versions_of('id = 7'), "|t|f|(7,7,n7)\nU|f|f|(7,8,n7)\nU|f|f|(7,9,n7)\nD|f|t|(7,9,n7)\nI|f|t|(7,0,again)", 'a delete and an insert');
sql_prints($node, versions_of('id <> 7'), '', 'its neighbours on the page have not changed');

# What is no version.
$node->safe_psql('postgres', 'BEGIN; UPDATE acct SET amount = -1 WHERE id = 8; DELETE FROM acct WHERE id = 9; ROLLBACK');
$node->safe_psql('postgres', 'BEGIN; SELECT * FROM acct WHERE id = 8 FOR UPDATE; COMMIT');
$node->safe_psql('postgres', 'VACUUM (FREEZE) acct');
sql_prints($node, versions_of('id IN (8, 9)'), '', 'a rollback, a lock and VACUUM FREEZE');
sql_prints($node, versions_of('id = 7'), "|t|f|(7,7,n7)\nU|f|f|(7,8,n7)\nU|f|f|(7,9,n7)\nD|f|t|(7,9,n7)\nI|f|t|(7,0,again)", 'versions that VACUUM has removed since');

# What one transaction does.
$node->safe_psql('postgres', "BEGIN; INSERT INTO acct VALUES (1001, 1, 'a'); UPDATE acct SET amount = 2 WHERE id = 1001; UPDATE acct SET amount = 3 WHERE id = 1001; COMMIT");
sql_prints($node, versions_of('id = 1001'), 'I|f|t|(1001,3,a)', 'inserted and updated');
sql_prints($node, versions_of('id = 1001', all => 1), "I|f|f|(1001,1,a)\nU|f|f|(1001,2,a)\nU|f|t|(1001,3,a)", 'the same, all of it');
$node->safe_psql('postgres', 'BEGIN; UPDATE acct SET amount = 4 WHERE id = 1001; DELETE FROM acct WHERE id = 1001; COMMIT');
sql_prints($node, versions_of('id = 1001'), "I|f|f|(1001,3,a)\nD|f|t|(1001,3,a)", 'updated and deleted');
$node->safe_psql('postgres', "BEGIN; INSERT INTO acct VALUES (1002, 1, 'b'); DELETE FROM acct WHERE id = 1002; COMMIT");
sql_prints($node, versions_of('id = 1002'), '', 'inserted and deleted');
$node->safe_psql('postgres', "BEGIN; SAVEPOINT a; INSERT INTO acct VALUES (1003, 1, 'c'); RELEASE a; SAVEPOINT b; UPDATE acct SET amount = 2 WHERE id = 1003; ROLLBACK TO b; SAVEPOINT d; UPDATE acct SET amount = 5 WHERE id = 1003; RELEASE d; COMMIT");
sql_prints($node, versions_of('id = 1003'), 'I|f|t|(1003,5,c)', 'subtransactions');
$node->safe_psql('postgres', "INSERT INTO acct VALUES (10, 0, 'x') ON CONFLICT (id) DO UPDATE SET amount = acct.amount * 10");
sql_prints($node, versions_of('id = 10'), "|t|f|(10,10,n10)\nU|f|t|(10,100,n10)", 'ON CONFLICT DO UPDATE');
$node->safe_psql('postgres', "BEGIN; UPDATE acct SET amount = 0 WHERE id = 11; PREPARE TRANSACTION 'p'");
sql_prints($node, versions_of('id = 11'), '', 'a prepared transaction has not committed');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
sql_prints($node, versions_of('id = 11'), "|t|f|(11,11,n11)\nU|f|t|(11,0,n11)", 'now it has');

# Multixacts: a row that is locked and updated by several.
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; SELECT * FROM acct WHERE id = 12 FOR KEY SHARE');
$node->safe_psql('postgres', 'UPDATE acct SET amount = 1212 WHERE id = 12');
$locker->query_safe('COMMIT');
$locker->quit;
sql_prints($node, versions_of('id = 12'), "|t|f|(12,12,n12)\nU|f|t|(12,1212,n12)", 'an update of a row that another transaction has locked');

# The window.
my $middle = lsn_in($node);
$node->safe_psql('postgres', 'UPDATE acct SET amount = 13.5 WHERE id = 13');
sql_prints($node, versions_of('id = 13', to => $middle), '', 'what came after the window is not in it');
sql_prints($node, "SELECT operation, v.row FROM strata.versions(NULL::acct, '$middle') v ORDER BY start_lsn NULLS FIRST", "|(13,13,n13)\nU|(13,13.5,n13)", 'up to now');

# Commits by their times and transactions.
$node->safe_psql('postgres', 'CREATE TABLE witness (xid xid8, at timestamptz, id int, amount numeric)');
my $begin = lsn_in($node);
for my $i (1 .. 5)
{
	$node->safe_psql('postgres', "BEGIN; UPDATE acct SET amount = $i WHERE id = 20; INSERT INTO witness SELECT pg_current_xact_id(), now(), 20, $i; COMMIT");
}
sql_prints($node, "SELECT count(*), bool_and(start_time >= w.at), bool_and(strata.after_xact(v.xid) = start_lsn) FROM strata.versions(NULL::acct, '$begin', NULL, 'id = 20') v JOIN witness w USING (xid) WHERE (v.row).amount = w.amount", '5|t|t',
	'transactions, times and LSNs');

# More than work_mem holds.
$node->safe_psql('postgres', 'CREATE TABLE many (id int, t text); INSERT INTO many SELECT i, 0 FROM generate_series(1, 5000) i');
$from = lsn_in($node);
$node->safe_psql('postgres', 'UPDATE many SET t = 1');
my ($spilled, $spill_warning) = try_sql($node, "SET work_mem = '64kB'; SELECT count(*) FROM strata.versions(NULL::many, '$from')");
is("$spilled|$spill_warning", '10000|', 'versions in temporary files, which are closed');

# Values out of line, of their own time.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE wide (id int PRIMARY KEY, t text);
ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, repeat(chr(64 + i), 10000) FROM generate_series(1, 5) i;
SQL
$from = lsn_in($node);
$node->safe_psql('postgres', "UPDATE wide SET t = repeat('x', 20000) WHERE id = 2");
$node->safe_psql('postgres', "UPDATE wide SET t = repeat('y', 30000) WHERE id = 2");
$node->safe_psql('postgres', "DELETE FROM wide WHERE id = 2");
$node->safe_psql('postgres', "VACUUM wide; INSERT INTO wide SELECT i, repeat('z', 9000) FROM generate_series(10, 20) i");
sql_prints($node, "SELECT operation, length((v.row).t), left((v.row).t, 1), (v.row).t = repeat(left((v.row).t, 1), length((v.row).t)) FROM strata.versions(NULL::wide, '$from', NULL, 'id = 2') v ORDER BY start_lsn NULLS FIRST, operation DESC",
	"|10000|B|t\nU|20000|x|t\nU|30000|y|t\nD|30000|y|t", 'values out of line that VACUUM has removed since');

# Files that come and go.
sub history_of_file
{
	my ($statement, $expected, $name) = @_;
	$node->safe_psql('postgres', "DROP TABLE IF EXISTS f; CREATE TABLE f (id int, v int); INSERT INTO f SELECT i, i FROM generate_series(1, 3) i; UPDATE f SET v = 30 WHERE id = 3");
	$from = lsn_in($node);
	$node->safe_psql('postgres', 'UPDATE f SET v = 10 WHERE id = 1');
	$node->safe_psql('postgres', $statement);
	$node->safe_psql('postgres', 'UPDATE f SET v = 100 WHERE id = 1');
	sql_prints($node, versions_of('true', table => 'f'), $expected, $name);
}
my $kept = "|t|f|(1,1)\nU|f|f|(1,10)\nU|f|t|(1,100)";
history_of_file('VACUUM FULL f', $kept, 'VACUUM FULL');
history_of_file('CREATE INDEX fi ON f (v); CLUSTER f USING fi', $kept, 'CLUSTER');
history_of_file('VACUUM FULL f; VACUUM (FULL, FREEZE) f', $kept, 'VACUUM FULL twice, and FREEZE');
history_of_file('VACUUM FULL pg_class', $kept, 'VACUUM FULL of pg_class');
history_of_file('TRUNCATE f; INSERT INTO f VALUES (1, 50)',
	"|t|f|(1,1)\n|t|f|(2,2)\n|t|f|(3,30)\nU|f|f|(1,10)\nD|f|t|(1,10)\nD|f|t|(2,2)\nD|f|t|(3,30)\nI|f|f|(1,50)\nU|f|t|(1,100)", 'TRUNCATE');
history_of_file('BEGIN; TRUNCATE f; INSERT INTO f VALUES (1, 50); COMMIT',
	"|t|f|(1,1)\n|t|f|(2,2)\n|t|f|(3,30)\nU|f|f|(1,10)\nD|f|t|(1,10)\nD|f|t|(2,2)\nD|f|t|(3,30)\nI|f|f|(1,50)\nU|f|t|(1,100)", 'TRUNCATE and INSERT in one transaction');
history_of_file('ALTER TABLE f ALTER v TYPE bigint',
	"|t|f|(1,1)\n|t|f|(2,2)\n|t|f|(3,30)\nU|f|f|(1,10)\nU|f|f|(1,10)\nU|f|t|(2,2)\nU|f|t|(3,30)\nU|f|t|(1,100)", 'a rewrite by ALTER TABLE');
history_of_file('ALTER TABLE f ADD w int DEFAULT 5; ALTER TABLE f DROP w', $kept, 'a column that came and went');
history_of_file('BEGIN; TRUNCATE f; ROLLBACK', $kept, 'a TRUNCATE that was rolled back');

$node->safe_psql('postgres', 'CREATE TABLE young (id int); INSERT INTO young VALUES (1); UPDATE young SET id = 2');
sql_prints($node, versions_of('true', table => 'young'), "I|f|f|(1)\nU|f|t|(2)", 'a table that was created within the window');

# Partitions.
$node->safe_psql('postgres', 'CREATE TABLE p (id int, v int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (1, 1), (11, 11), (12, 12)');
$from = lsn_in($node);
$node->safe_psql('postgres', 'UPDATE p SET v = 0 WHERE id = 1; UPDATE p SET id = 5 WHERE id = 11; DROP TABLE p2; CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30); INSERT INTO p VALUES (21, 21)');
sql_prints($node, versions_of('true', table => 'p'), "|t|f|(1,1)\n|t|f|(11,11)\n|t|f|(12,12)\nU|f|t|(1,0)\nD|f|t|(11,11)\nI|f|t|(5,11)\nD|f|t|(12,12)\nI|f|t|(21,21)", 'partitions, one dropped and one created');

# Tables that are gone, with the columns of their own time.
$node->safe_psql('postgres', "CREATE TABLE gone (id int, old text); INSERT INTO gone VALUES (1, 'a')");
$from = lsn_in($node);
$node->safe_psql('postgres', "UPDATE gone SET old = 'b'; DROP TABLE gone");
sql_prints($node, "SELECT operation, v.row FROM strata.versions_json('public.gone', '$from', condition => 'id = 1') v ORDER BY start_lsn NULLS FIRST, operation DESC", qq(|{"id": 1, "old": "a"}\nU|{"id": 1, "old": "b"}\nD|{"id": 1, "old": "b"}), 'a table that is gone');
sql_fails($node, "SELECT * FROM strata.versions_json('never', '$from')", qr/42P01: .*existed at neither moment/, 'a table that never was');
sql_fails($node, "SELECT * FROM strata.versions_json('pg_stat_activity', '$from')", qr/42809: .*no row versions/, 'a view, by name');

# Catalogs.
$from = lsn_in($node);
$node->safe_psql('postgres', 'CREATE TABLE named (id int); ALTER TABLE named RENAME TO renamed; DROP TABLE renamed');
sql_prints($node, "SELECT operation, (v.row).relname FROM strata.versions(NULL::pg_class, '$from', NULL, \$\$relname ~ 'named'\$\$) v ORDER BY start_lsn NULLS FIRST, operation", "I|named\nU|renamed\nD|renamed", 'a catalog');
$node->safe_psql('postgres', 'VACUUM FULL pg_class');
sql_fails($node, "SELECT count(*) FROM strata.versions(NULL::pg_class, '$from')", qr/0A000: .*"pg_class" was written anew/, 'a mapped catalog that has got another file');

# Errors.
sql_fails($node, "SELECT * FROM strata.versions(NULL::acct, '$middle', '$begin'::pg_lsn - 10000000)", qr/22023/, 'the last moment before the first');
sql_fails($node, "SELECT * FROM strata.versions(NULL::acct, NULL::text)", qr/22004: .*first moment must not be null/, 'no first moment');
sql_fails($node, "SELECT * FROM strata.versions(1, '$middle')", qr/42809: .*not the row type of a table/, 'no table');
sql_fails($node, "SELECT * FROM strata.versions(NULL::acct, 5)", qr/42804: .*must not be of type integer/, 'no moment');
$node->safe_psql('postgres', "CREATE VIEW seen AS SELECT * FROM acct; CREATE UNLOGGED TABLE fast (id int); CREATE ROLE reader; GRANT USAGE ON SCHEMA strata TO reader; GRANT SET ON PARAMETER strata.travel_time, strata.travel_lsn TO reader");
$from = lsn_in($node);
sql_fails($node, versions_of('true', table => 'seen'), qr/42809: .*has no row versions/, 'a view');
sql_fails($node, versions_of('true', table => 'fast'), qr/42809: .*has no row versions.*unlogged/s, 'an unlogged table');
sql_fails($node, 'SET ROLE reader; ' . versions_of('true'), qr/42501: .*permission denied for table acct/, 'a role without the right to the table');
$node->safe_psql('postgres', 'GRANT SELECT ON p TO reader');
$from = lsn_in($node);
$node->safe_psql('postgres', 'INSERT INTO p VALUES (2, 2)');
sql_prints($node, 'SET ROLE reader; ' . versions_of('true', table => 'p'), 'I|f|t|(2,2)', 'the right to a partitioned table is enough');
sql_fails($node, 'SET ROLE reader; ' . versions_of('true', table => 'p1'), qr/42501: .*permission denied for table p1/, '... and no right to its partition');
$node->safe_psql('postgres', 'GRANT SELECT ON acct TO reader; ALTER TABLE acct ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON acct USING (id < 5)');
$from = lsn_in($node);
sql_fails($node, 'SET ROLE reader; ' . versions_of('true'), qr/42501: .*row-level security/, 'a role that a policy binds');
sql_fails($node, versions_of('nonsense = 1'), qr/42703: /, 'a condition over a column that is not there');

check_all_pages($node);
log_is_clean($node);
done_testing();
