# A session in the past lets its database go: it may be dropped, renamed, moved and copied beside it, and neither of the two
# waits. The way back leads to the same database or to an error, never to another one that has the OID since.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('going', max_parallel_workers_per_gather => 2, work_mem => "'64kB'");
my $folder = PostgreSQL::Test::Utils::tempdir();
chmod(0700, $folder);
$node->safe_psql('postgres', $_) for ('CREATE EXTENSION strata; CREATE ROLE ghost SUPERUSER LOGIN', "CREATE TABLESPACE elsewhere LOCATION '$folder'", 'CREATE DATABASE kept',
	q{CREATE DATABASE shop TABLESPACE elsewhere ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0},
	'CREATE DATABASE street', 'CREATE DATABASE house');
for my $db ('kept', 'shop', 'street', 'house')
{
	$node->safe_psql($db, "CREATE TABLE t AS SELECT i AS a, '$db ' || i AS b, repeat('x', 100) AS c FROM generate_series(1, 20000) i; CREATE INDEX ON t (a); ANALYZE t");
}
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'shop'});
my $lsn = lsn_in($node);
$node->safe_psql($_, 'DELETE FROM t WHERE a > 10') for ('kept', 'shop', 'street', 'house');
my $rows = 'SELECT count(*), max(b) FROM t WHERE a > 10000';
my $of_then = sub { return "10000|$_[0] 20000" };

# A session that is connected at the moment, or has gone there.
sub session
{
	my ($db, %option) = @_;
	local $ENV{PGOPTIONS} = $option{connect} ? "-c strata.travel_lsn=$lsn" : '';
	my $session = $node->background_psql($db, on_error_stop => 0);
	$session->query_safe("SET strata.travel_lsn = '$lsn'") unless $option{connect};
	return $session;
}

# What a session prints, and the errors.
sub ask
{
	my ($session, $sql) = @_;
	my $out = $session->query($sql);
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return ($out, $error);
}

sub fails_without_present
{
	my ($session, $way, $name) = @_;
	my ($out, $error) = ask($session, $way);
	like($error, qr/ERROR:  the database that the session is connected to is not in the present\n.*DETAIL:  It has been dropped.*HINT/s, $name);
	return;
}

# Dropped, while cursors of the past hold its pages.
my @in_shop = map { session('shop', connect => $_) } 0, 1;
for my $session (@in_shop)
{
	$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a; FETCH 5 FROM c; DECLARE d CURSOR FOR SELECT a FROM t; FETCH 5 FROM d;');
}
my $local = $node->background_psql('shop', on_error_stop => 0);
$local->query_safe("BEGIN; SET LOCAL strata.travel_lsn = '$lsn'; SELECT count(*) FROM t");
my ($out, $error) = try_sql($node, 'DROP DATABASE shop');
is($error, '', 'DROP DATABASE beside sessions of the past');
for my $session (@in_shop)
{
	is($session->query_safe('FETCH 3 FROM c; FETCH 3 FROM d; COMMIT;'), "6\n7\n8\n6\n7\n8", 'an open cursor goes on');
	is($session->query_safe($rows), $of_then->('shop'), 'so do new queries');
	is($session->query_safe('SET debug_parallel_query = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0; SET parallel_tuple_cost = 0; SELECT count(*) FROM t WHERE a % 2 = 0'),
		10000, 'parallel workers as well');
	fails_without_present($session, "SET strata.travel_lsn = ''; SELECT 1", 'there is no present to return to');
	is($session->query_safe("SET strata.travel_lsn = '$lsn'; $rows"), $of_then->('shop'), 'other moments can be set');
}
is($local->query_safe('SELECT count(*) FROM t'), 20000, 'SET LOCAL: the transaction goes on');
$local->query_safe('COMMIT');
fails_without_present($local, 'SELECT count(*) FROM t', 'after it there is no present') for 1 .. 2;
is($local->query_safe("SET strata.travel_lsn = '$lsn'; SELECT count(*) FROM t"), 20000, 'and the past is still there');

# Its tablespace as well: queries have their temporary files in the default one.
$node->safe_psql('postgres', 'DROP TABLESPACE elsewhere');
is($_->query_safe('SELECT count(*) FROM (SELECT a FROM t ORDER BY c, b OFFSET 10) x'), 19990, 'a sort on disk') for @in_shop;
is($in_shop[0]->query_safe('SET enable_parallel_hash = on; SET debug_parallel_query = off; SELECT count(*) FROM t x JOIN t y USING (c, b)'), 20000, 'a join on disk');

# Another one has its OID.
$node->safe_psql('postgres', "CREATE DATABASE shop OID $oid TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'");
$node->safe_psql('shop', "CREATE TABLE t AS SELECT 'of another shop' AS other");
fails_without_present($_, "SET strata.travel_lsn = ''; SELECT * FROM t", 'a database that has the OID since is not its present') for @in_shop, $local;
push @in_shop, session('shop', connect => 1);
is($in_shop[-1]->query_safe("SHOW server_encoding; $rows"), "LATIN1\n" . $of_then->('shop'), 'a connection at the moment is to the database of then');
fails_without_present($in_shop[-1], "SET strata.travel_lsn = ''; SELECT * FROM t", 'and has no present either');
($out, $error) = try_sql($node, "SET strata.travel_lsn = '$lsn'; $rows", db => 'shop', stop => 1);
like($error, qr/0A000.*another encoding or locale.*DETAIL.*LATIN1.*HINT:  Connect/s, 'a session of the one does not see the other in an encoding that is not its');
$_->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH 5 FROM c') for @in_shop;
($out, $error) = try_sql($node, 'DROP DATABASE shop');
is($error, '', 'DROP DATABASE of the one beside cursors in the other');
is($_->query_safe('FETCH 2 FROM c; COMMIT'), "6\n7", 'which go on') for @in_shop;
$_->quit for @in_shop, $local;

# A moment that is stored for a role.
$node->safe_psql('postgres', "ALTER ROLE ghost SET strata.travel_lsn = '$lsn'; SELECT strata.wait_for(pg_current_wal_insert_lsn())");
($out, $error) = try_sql($node, "SHOW strata.travel_lsn; $rows", db => 'shop', user => 'ghost');
is($out, "$lsn\n" . $of_then->('shop'), 'it leads to a database that is gone');
like($error, qr/NOTICE: .*as is stored for its database or role/s, 'and the session is told');
(undef, $error) = try_sql($node, 'SELECT 1', db => 'nowhere', user => 'ghost');
like($error, qr/FATAL:  database "nowhere" did not exist then/, 'a database that never was');
$node->safe_psql('postgres', "ALTER ROLE ghost RESET strata.travel_lsn; ALTER ROLE ghost SET strata.travel_time = '2001-01-01 00:00+00'; SELECT strata.wait_for(pg_current_wal_insert_lsn())");
(undef, $error) = try_sql($node, 'SELECT 1', db => 'shop', user => 'ghost');
like($error, qr/FATAL:  cannot travel to 2001-01-01.*history does not reach back/, 'a moment that cannot be reached leads to none');

# Renamed, moved, copied, and dropped by force.
my @in_street = (session('street', connect => 0), session('street', connect => 1));
$_->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH 5 FROM c') for @in_street;
$node->safe_psql('postgres', "CREATE TABLESPACE other LOCATION '$folder'");
for my $change ('ALTER DATABASE street RENAME TO road', 'ALTER DATABASE road SET TABLESPACE other', 'CREATE DATABASE copy TEMPLATE road')
{
	($out, $error) = try_sql($node, $change);
	is($error, '', "$change beside sessions of the past");
}
is($node->safe_psql('copy', 'SELECT count(*) FROM t'), 10, 'the copy has the rows of now');
for my $session (@in_street)
{
	is($session->query_safe("FETCH 1 FROM c; COMMIT; $rows"), "6\n" . $of_then->('street'), 'they go on');
	is($session->query_safe("SET strata.travel_lsn = ''; SELECT current_database(), count(*), min(b) FROM t"), 'road|10|street 1', 'and return to the database, which has another name and place');
	is($session->query_safe("INSERT INTO t (a) VALUES (11); SELECT count(*) FROM t WHERE a = 11; DELETE FROM t WHERE a = 11; SELECT count(*) FROM t"), "1\n10", 'where they can write');
}
($out, $error) = try_sql($node, 'ALTER DATABASE road RENAME TO lane');
like($error, qr/55006.*being accessed by other users.*There are 2 other sessions/s, 'sessions of the present keep their database');
$_->query_safe("SET strata.travel_lsn = '$lsn'") for @in_street;
($out, $error) = try_sql($node, 'DROP DATABASE road WITH (FORCE)');
is($error, '', 'DROP DATABASE WITH (FORCE)');
is($_->query_safe($rows), $of_then->('street'), 'ends no session of the past') for @in_street;
$_->quit for @in_street;

# Connecting while somebody changes the database: nobody waits.
my $changing = $node->background_psql('postgres', on_error_stop => 0);
$changing->query_safe('BEGIN; ALTER DATABASE house RENAME TO home');
my $in_house = session('house', connect => 1);
is($in_house->query_safe($rows), $of_then->('house'), 'a connection at a moment while the database is being renamed');
$changing->query_safe('COMMIT');
is($in_house->query_safe("SET strata.travel_lsn = ''; SELECT current_database(), count(*) FROM t"), 'home|10', 'it returns to what became of it');
$in_house->quit;
$changing->quit;

# Nothing of all that is left.
$node->safe_psql('postgres', 'DROP DATABASE home');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_database d WHERE datid <> 0 AND NOT EXISTS (SELECT FROM pg_database WHERE oid = datid)"), 0, 'no statistics of databases that are gone');
is($node->safe_psql('postgres', "SELECT pg_stat_have_stats('database', $oid, 0)"), 'f', 'none of the one that had its OID used again');
ok(!-e $node->data_dir . "/base/$oid" && !-e $node->data_dir . '/base/0', 'no directory either');
is(at_lsn($node, $lsn, $rows, 'kept'), $of_then->('kept'), 'another database is as ever');
log_is_clean($node);
$node->stop;
done_testing();
