# A moment given at connection: the database is the one that had the name then, dropped, renamed or replaced since.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('databases');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE ROLE guide LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE tokyo SUPERUSER LOGIN; ALTER ROLE tokyo SET timezone = "Asia/Tokyo"; GRANT SET ON PARAMETER "strata.travel_lsn" TO guide');
$node->safe_psql('postgres', $_) for (
	q{CREATE DATABASE shop ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0},
	q{CREATE DATABASE words ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C' TEMPLATE template0 STRATEGY file_copy},
	'CREATE DATABASE before', 'CREATE DATABASE closed', 'ALTER DATABASE closed ALLOW_CONNECTIONS false',
	'CREATE DATABASE forbidden', 'REVOKE CONNECT ON DATABASE forbidden FROM PUBLIC', 'GRANT CONNECT ON DATABASE shop TO guide',
	'ALTER DATABASE shop SET search_path = hidden', q{ALTER ROLE guide SET work_mem = '77MB'});
$node->safe_psql('shop', <<'SQL');
SET client_encoding = 'UTF8';
SET search_path = public;
CREATE TABLE orders AS SELECT i AS id, U&'caf\00E9 ' || i AS what FROM generate_series(1, 20000) i;
CREATE INDEX ON orders (what);
GRANT SELECT ON orders TO guide;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * a; END';
ANALYZE orders;
SQL
$node->safe_psql('words', q{CREATE TABLE w (a text); INSERT INTO w VALUES (U&'\00C4rger'), ('zebra')});
$node->safe_psql('before', 'CREATE TABLE b AS SELECT 42 AS a');
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'shop'});
my $then = lsn_in($node);
my $time = now_in($node);
# What depends on the second of the dump is left out.
sub dump_all
{
	my (@environment) = @_;
	local %ENV = (%ENV, @environment);
	my ($out, $error) = run_command([ 'pg_dumpall', '-d', $node->connstr('postgres') ]);
	is($error, '', 'pg_dumpall says nothing');
	$out =~ s/^\\(un)?restrict .*\n//mg;
	return $out;
}
my $present = dump_all();

$node->safe_psql('postgres', $_) for ('DROP DATABASE shop', 'DROP DATABASE words', 'ALTER DATABASE before RENAME TO after', 'DROP DATABASE forbidden',
	'DROP DATABASE closed', q{CREATE DATABASE words ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0}, 'CREATE TABLE later (a int)');
$node->safe_psql('words', 'CREATE TABLE other (a int)');

# Rows, or the error, of one session in a database of the moment.
sub in_past
{
	my ($database, $sql, %option) = @_;
	my $moment = $option{moment} // $then;
	local $ENV{PGOPTIONS} = defined $option{time} ? "-c strata.travel_time=" . ($option{time} =~ s/(?<!\\) /\\ /gr) . ' ' . ($option{options} // '') : "-c strata.travel_lsn=$moment";
	my ($status, $out, $error) = $node->psql($database, $sql, extra_params => [ '-U', $option{user} // $node->{_user} // getpwuid($<) ]);
	return wantarray ? ($out, $error) : $status == 0 ? $out : "failed: $error";
}

is(in_past('shop', 'SELECT count(*), max(id) FROM public.orders'), '20000|20000', 'a database that has been dropped');
is(in_past('shop', 'SHOW server_encoding; SELECT datname FROM pg_database WHERE datname = current_database()'), "LATIN1\nshop", 'in its own encoding');
is(in_past('shop', q{SET client_encoding = 'UTF8'; SELECT id FROM public.orders WHERE what = U&'caf\00E9 77'; SELECT public.twice(4)}), "77\n8", 'by an index, and its functions');
isnt(in_past('shop', 'SHOW search_path'), 'hidden', 'settings of a database of then are not applied');
is(in_past('words', q{SHOW server_encoding; SELECT upper(a) FROM w WHERE a ~ '^\w+$' ORDER BY a COLLATE "C" LIMIT 1}), "UTF8\nZEBRA", 'a database that another one has replaced');
is(in_past('before', 'SELECT a FROM b; SELECT current_database()'), "42\nbefore", 'a database that has another name now');
like(in_past('after', 'SELECT 1'), qr/FATAL:  database "after" did not exist then\n.*DETAIL.*HINT/s, 'the name of now is not one of then');
like(in_past('nowhere', 'SELECT 1'), qr/FATAL:  database "nowhere" did not exist then/, 'a database that never was');
like(in_past('postgres', 'SELECT * FROM later'), qr/relation "later" does not exist/, 'a database that is the same as ever');
is(dump_all(PGOPTIONS => "-c strata.travel_lsn=$then"), $present, 'pg_dumpall dumps every database of the moment');
isnt(dump_all(), $present, 'which the present does not have');

# Parallel workers.
is(in_past('shop', 'SET debug_parallel_query = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0; SET parallel_tuple_cost = 0; SELECT count(*) FROM public.orders WHERE id % 2 = 0'), '10000', 'parallel workers find the database');

# By a time.
for my $case ([ '', 'its offset' ], [ '-c timezone=Asia/Tokyo', 'a zone of the options', 'Asia/Tokyo' ])
{
	my ($options, $what, $zone) = @$case;
	my $words = $zone ? $node->safe_psql('postgres', "SELECT to_char(timestamptz '$time' AT TIME ZONE '$zone', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')") : $time;
	is(in_past('shop', q{SELECT count(*) FROM public.orders; SELECT current_setting('strata.travel_time') ~ '[+]00$|[+]09$'}, time => $words, options => $options), "20000\nt", "a time with $what");
}
like(in_past('shop', 'SELECT 1', time => '1\\ microsecond\\ ago'), qr/FATAL:  database "shop" did not exist then/, 'an interval');
my $local = $node->safe_psql('postgres', "SELECT to_char(timestamptz '$time' AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')");
is(in_past('shop', 'SELECT count(*) FROM public.orders', time => $local, user => 'tokyo'), '20000', 'a time in the zone that is stored for the role');
$node->safe_psql('postgres', 'ALTER DATABASE words SET timezone = "Asia/Tokyo"');
is(in_past('words', 'SELECT count(*) FROM w', time => $time), '2', 'a time with its offset, where the name has another database with a zone now');
like(in_past('words', 'SELECT 1', time => $local), qr/FATAL:  parameter "strata.travel_time" has another meaning .*DETAIL.*HINT:  Give the time with its offset/s,
	'a time without one means two moments there, and is refused');

# Who may.
is(in_past('shop', 'SELECT count(*) FROM public.orders; SHOW work_mem', user => 'guide'), "20000\n77MB", 'the right to travel, and the settings of a role, are of the present');
like(in_past('shop', 'SELECT 1', user => 'stranger'), qr/FATAL:  database "shop" does not exist/, 'for others there is no such database');
like(in_past('forbidden', 'SELECT 1', user => 'guide'), qr/FATAL:  permission denied for database "forbidden"/, 'the right to connect is that of the moment');
like(in_past('closed', 'SELECT 1'), qr/FATAL:  database "closed" is not currently accepting connections/, 'a database that was closed then stays closed');

$node->safe_psql('postgres', 'REVOKE CONNECT ON DATABASE after FROM PUBLIC');
like(in_past('before', 'SELECT 1', user => 'guide'), qr/FATAL:  permission denied for database "before"\n.*DETAIL:  It has another name/s, 'the present of a renamed database must let in, too');
$node->safe_psql('postgres', 'GRANT CONNECT ON DATABASE after TO PUBLIC; ALTER DATABASE after ALLOW_CONNECTIONS false');
like(in_past('before', 'SELECT 1'), qr/FATAL:  database "before" is not currently accepting connections\n.*DETAIL:  It has another name/s, 'and accept connections');
$node->safe_psql('postgres', 'ALTER DATABASE after ALLOW_CONNECTIONS true');
is(in_past('before', 'SELECT current_database()', user => 'guide'), 'before', 'then it does');

# The way back.
for my $way ("SET strata.travel_lsn = ''", "SET LOCAL strata.travel_lsn = ''", q{SELECT set_config('strata.travel_lsn', '', false)})
{
	my ($out, $error) = in_past('shop', "BEGIN; $way; COMMIT; SELECT 1");
	like($error, qr/ERROR:  the database that the session is connected to is not in the present\n.*DETAIL:  It has been dropped.*HINT:  Connect to another database/s, "no way to the present: $way");
}
is(in_past('shop', 'RESET strata.travel_lsn; SELECT count(*) FROM public.orders; DISCARD ALL; SELECT count(*) FROM public.orders'), "20000\n20000", 'RESET stays at the moment of the connection');
like(in_past('shop', 'CREATE TABLE x (a int)'), qr/cannot execute CREATE TABLE while travelling/, 'it reads only');
is(in_past('before', q{SET strata.travel_lsn = ''; SELECT current_database(); CREATE TABLE made (a int); SELECT count(*) FROM made; SELECT a FROM b}), "after\n0\n42", 'a database that has another name now can be returned to');
is($node->safe_psql('after', 'SELECT count(*) FROM made; SELECT a FROM b'), "0\n42", 'and what was written there is there');

# Nothing of it stays.
is($node->safe_psql('postgres', "SELECT pg_stat_have_stats('database', $oid, 0)"), 'f', 'no statistics of a database that is gone');
is($node->safe_psql('words', 'SELECT count(*) FROM other'), '0', 'the present\'s database of that name is untouched');
ok(!-e $node->data_dir . "/base/$oid" && !-e $node->data_dir . '/base/0', 'no directory of it');
$node->restart;
is($node->safe_psql('after', 'SELECT a FROM b'), '42', 'after a restart');
is(in_past('shop', 'SELECT count(*) FROM public.orders'), '20000', 'the past is there as well');
log_is_clean($node) if defined &log_is_clean;
$node->stop;
done_testing();
