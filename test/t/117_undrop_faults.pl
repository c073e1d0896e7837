# Whatever ends undrop() in the midst, nothing half-done remains; and tables of any moment of a storm of DDL come back as they were then.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('undrop_faults');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE long (id serial PRIMARY KEY, t text);
INSERT INTO long (t) SELECT md5(i::text) FROM generate_series(1, 200000) i;
CREATE TABLE other (id int REFERENCES long);
DROP TABLE long CASCADE;
SQL
my $classes = 'SELECT count(*) FROM pg_class';
my $held = $node->safe_psql('postgres', $classes);

# undrop() in a session of its own, while its traveller reads rows. Returns the session, its PID and the traveller's.
sub begin_undrop
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/begun/, "\\echo begun\nSELECT count(*) FROM strata.undrop('long');\n");
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller' AND query ~ 'FROM ONLY public.long'")
	  or die 'no traveller reads the rows';
	return ($session, $pid, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata traveller'"));
}

my ($session, $pid, $traveller) = begin_undrop();
$node->safe_psql('postgres', "SELECT pg_terminate_backend($traveller)");
$session->query('SELECT 1');
$session->quit;
is($node->safe_psql('postgres', $classes), $held, 'a traveller that is terminated leaves nothing');
($session, $pid) = begin_undrop();
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
$session->query('SELECT 1');
$session->quit;
is($node->safe_psql('postgres', $classes), $held, 'nor does a cancel');
($session, $pid) = begin_undrop();
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
eval { $session->quit };
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'the session is terminated');
is($node->safe_psql('postgres', $classes), $held, 'nor does a session that is terminated');
($session, $pid) = begin_undrop();
kill_and_wait($node, $pid);
eval { $session->quit };
is($node->safe_psql('postgres', $classes), $held, 'nor does one that is killed with the server');
is($node->safe_psql('postgres', "SELECT reason FROM strata.undrop('long') WHERE kind = 'table'; SELECT count(*) FROM long"), "200000 rows\n200000", 'after all of that it comes back');

# A storm: tables made, changed, renamed and dropped, and what one of them was after each statement.
srand(my $seed = $ENV{STORM_SEED} // time);
my @statements = (
	'CREATE TABLE s%1$d (id serial PRIMARY KEY, a int DEFAULT 1, b text)', 'ALTER TABLE s%1$d ADD COLUMN c%2$d int DEFAULT %2$d', 'ALTER TABLE s%1$d DROP COLUMN IF EXISTS b',
	'ALTER TABLE s%1$d ALTER a TYPE bigint', 'INSERT INTO s%1$d (a) SELECT generate_series(1, %2$d)', 'UPDATE s%1$d SET a = a + %2$d', 'DELETE FROM s%1$d WHERE id %% 3 = 0', 'TRUNCATE s%1$d',
	'CREATE INDEX ON s%1$d (a)', 'ALTER TABLE s%1$d ADD CHECK (a > -%2$d)', 'DROP TABLE s%1$d', 'ALTER TABLE s%1$d RENAME COLUMN a TO a', 'CREATE STATISTICS ON id, a FROM s%1$d',
	'VACUUM FULL s%1$d', 'ALTER TABLE s%1$d SET (fillfactor = %2$d)', 'COMMENT ON TABLE s%1$d IS \'%2$d\'', 'ALTER TABLE s%1$d ALTER a SET STATISTICS %2$d', 'ALTER TABLE s%1$d ALTER a DROP DEFAULT');
my $describe = q{SELECT (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstattarget, d.adbin IS NOT NULL), ',' ORDER BY a.attnum)
	FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), c.reloptions, obj_description(c.oid, 'pg_class'),
	(SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid), (SELECT string_agg(pg_get_constraintdef(n.oid), ',' ORDER BY n.conname) FROM pg_constraint n WHERE n.conrelid = c.oid AND n.contype <> 'p'),
	(SELECT count(*) FROM pg_statistic_ext e WHERE e.stxrelid = c.oid), (xpath('/row/x/text()', query_to_xml(format('SELECT md5(string_agg(t::text, %L ORDER BY id)) AS x FROM %s t', ',', c.oid::regclass), false, true, '')))[1]
	FROM pg_class c WHERE c.oid = to_regclass('%s')};
my @remembered;
for my $step (1 .. 60)
{
	my $table = int(rand 4);
	try_sql($node, sprintf($statements[ rand @statements ], $table, 50 + int(rand 50)));
	try_sql($node, "CREATE TABLE IF NOT EXISTS s$table (id serial PRIMARY KEY, a int)") if $step % 5 == 0;
	my $what = $node->safe_psql('postgres', $describe =~ s/\Q'%s'\E/'s$table'/r);
	push @remembered, { table => "s$table", lsn => reached_lsn($node), what => $what } if $what ne '';
}
my $wrong = 0;
for my $moment (@remembered)
{
	my ($out, $error) = try_sql($node, "BEGIN; SELECT * FROM strata.undrop('$moment->{table}', '$moment->{lsn}'::pg_lsn, 'as_it_was') WHERE outcome <> 'restored';\n"
		  . ($describe =~ s/\Q'%s'\E/'as_it_was'/r) . "; ROLLBACK");
	next if "$out$error" eq $moment->{what};
	$wrong++;
	diag("$moment->{table} at $moment->{lsn}: $moment->{what}\nnow $out$error");
}
cmp_ok(scalar @remembered, '>', 20, 'tables were there at ' . @remembered . ' moments of the storm');
is($wrong, 0, 'each of them can be had as it was then') or diag("STORM_SEED=$seed");
log_is_clean($node, 'terminated by signal 9|test');
$node->stop;
done_testing();
