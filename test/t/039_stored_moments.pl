# A moment that is stored for others: who may store it, and how they learn of it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('stored');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE owner LOGIN CREATEROLE;
CREATE ROLE allowed LOGIN;
CREATE ROLE boss SUPERUSER LOGIN;
CREATE DATABASE shop OWNER owner;
SQL
$node->safe_psql('shop', 'CREATE TABLE t (a int); INSERT INTO t VALUES (1); GRANT SELECT ON t TO PUBLIC; GRANT CREATE ON SCHEMA public TO owner');
my $then = now_in($node);
my $lsn = lsn_in($node);
$node->safe_psql('shop', 'INSERT INTO t VALUES (2)');
$node->safe_psql('postgres', 'GRANT SET ON PARAMETER strata.travel_time TO allowed; ALTER DATABASE postgres OWNER TO allowed');
my $count = 'SELECT count(*) FROM t';

for my $statement (
	"ALTER DATABASE shop SET strata.travel_time = '$then'", "ALTER DATABASE shop SET strata.travel_lsn = '$lsn'",
	"ALTER ROLE owner SET strata.travel_time = '$then'", "ALTER ROLE owner IN DATABASE shop SET strata.travel_time = '$then'",
	"CREATE ROLE servant; ALTER ROLE servant SET strata.travel_time = '$then'")
{
	like((try_sql($node, $statement, db => 'shop', user => 'owner'))[1],
		qr/42501: .*permission denied to store parameter "strata\.travel_\w+".*right to travel/s, "refused without the right to travel: $statement");
}
my ($out, $error) = try_sql($node, "$count", db => 'shop', user => 'boss');
is("$out$error", 2, 'nobody was put into the past');
is((try_sql($node, "ALTER DATABASE shop SET strata.travel_time = ''; ALTER DATABASE shop RESET strata.travel_time", db => 'shop', user => 'owner'))[1], '',
	'the present may be stored by everybody, and a stored moment taken away');
is((try_sql($node, "ALTER DATABASE postgres SET strata.travel_time = '$then'; ALTER DATABASE postgres RESET strata.travel_time", user => 'allowed'))[1], '',
	'an owner with the right may store a moment');

$node->safe_psql('postgres', "ALTER DATABASE shop SET strata.travel_time = '$then'");
($out, $error) = try_sql($node, $count, db => 'shop', user => 'boss');
is($out, 1, 'a superuser may do so for a database');
like($error, qr/NOTICE: .*this session travels in time.*as of \Q$then\E.*stored for its database or role.*SET strata\.travel_time = ''/s,
	'and a superuser who connects to it is told so');
my ($stdout, $stderr) = run_command([ 'pg_dump', '-U', 'boss', '--data-only', '-d', $node->connstr('shop') ]);
like($stderr, qr/this session travels in time/, 'pg_dump tells that its dump is an old one');
like($stdout, qr/^1$/m, 'which it is');
unlike($stdout, qr/^2$/m, 'without what came later');
($out, $error) = try_sql($node, "SET strata.travel_time = ''; $count; RESET strata.travel_time; $count", db => 'shop', user => 'boss');
is($out, "2\n1", 'an empty time leaves for the present, and RESET returns');
is(() = $error =~ /this session travels in time/g, 2, 'which is told each time that the session leaves the present');
($out, $error) = try_sql($node, $count, db => 'shop', user => 'boss', options => '-c strata.travel_time=');
is("$out$error", 2, 'one that asks for the present is not told anything');
($out, $error) = try_sql($node, $count, db => 'postgres', user => 'boss', options => pgoptions($then));
unlike($error, qr/this session travels/, 'nor one that asked itself to travel');
($out, $error) = try_sql($node, "$count; SET strata.travel_time = ''; $count", db => 'shop', user => 'owner');
is($out, 2, 'a role without the right runs no query until it asks for the present');
like($error, qr/WARNING: .*permission denied.*ERROR: .*permission denied/s, 'and is told why');
($out, $error) = try_sql($node, $count, db => 'shop', user => 'allowed');
is("$out$error", 1, 'one with the right travels');

log_is_clean($node);
$node->stop;
done_testing();
