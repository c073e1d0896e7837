# Hundreds of sessions, past and present, at once.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('sessions', max_connections => 160, log_statement => 'none', autovacuum => 'on', autovacuum_naptime => '1s', shared_buffers => "'32MB'");
my $scripts = PostgreSQL::Test::Utils::tempdir;
$node->command_ok([ 'pgbench', '-i', '-q', '-s', '1', 'postgres' ], 'pgbench initialises');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b text);
CREATE TABLE moments (id int PRIMARY KEY, t text, n int);
CREATE FUNCTION write_some(n int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO t SELECT n * 10 + i, md5(i::text) FROM generate_series(1, 10) i;
  UPDATE t SET b = 'changed at ' || n WHERE a % 7 = n % 7;
$$;
SQL
# A script fails by dividing by zero. 100 moments; at moment n, t has 10 * n rows.
my $sql = join('', map { "SELECT write_some($_);\nSELECT $_, clock_timestamp();\nSELECT pg_sleep(0.002);\n" } 1 .. 100);
my @rows = grep { /\|/ } split /\n/, $node->safe_psql('postgres', $sql);
is(scalar @rows, 100, 'a hundred moments');
$node->safe_psql('postgres', 'INSERT INTO moments VALUES ' . join(', ', map { /^(\d+)\|(.*)$/; "($1, '$2', 10 * $1)" } @rows));
$node->safe_psql('postgres', 'DELETE FROM t WHERE a % 3 = 0; UPDATE t SET b = NULL');

append_to_file("$scripts/past.sql", <<'SQL');
\set id random(1, 100)
SELECT t AS moment, n FROM moments WHERE id = :id \gset
SET strata.travel_time = ':moment';
SELECT CASE WHEN count(*) = :n AND count(b) = :n AND max(a) <= :n + 10 THEN 1 ELSE 1 / (count(*) - count(*)) END FROM t;
SELECT CASE WHEN count(*) = 1 THEN 1 ELSE 1 / (count(*) - count(*)) END FROM t WHERE a = 11;
SELECT CASE WHEN count(abalance) = 1 THEN 1 ELSE 1 / (count(*) - count(*)) END FROM pgbench_accounts WHERE aid = :id;
RESET strata.travel_time;
SQL
append_to_file("$scripts/settled.sql", <<'SQL');
SELECT CASE WHEN count(*) = 100 THEN 1 ELSE 1 / (count(*) - count(*)) END FROM moments;
SQL

sub bench
{
	my (@options) = @_;
	my ($out, $error) = ('', '');
	my $harness = IPC::Run::start([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, @options, 'postgres' ], '<', \undef, '>', \$out, '2>', \$error);
	return { harness => $harness, out => \$out, error => \$error, name => "@options" };
}
my @running = (
	bench('-c', '100', '-j', '2', '-T', '12', '-f', "$scripts/past.sql"),
	bench('-c', '8', '-j', '1', '-T', '12', '-b', 'tpcb-like'),
	bench('-c', '4', '-j', '1', '-T', '12', '-f', "$scripts/settled.sql"));
# DDL meanwhile.
for my $n (1 .. 5)
{
	$node->safe_psql('postgres', "CREATE TABLE made_$n AS SELECT * FROM t; ALTER TABLE t ADD c_$n int; CREATE INDEX ON t (b); DROP TABLE made_$n");
	$node->safe_psql('postgres', 'VACUUM FULL t');
}
for my $bench (@running)
{
	ok($bench->{harness}->finish, "no error of: pgbench $bench->{name}") or diag(substr(${ $bench->{error} }, 0, 3000));
	my ($done) = ${ $bench->{out} } =~ /number of transactions actually processed: (\d+)/;
	my ($failed) = ${ $bench->{out} } =~ /number of failed transactions: (\d+)/;
	cmp_ok($done // 0, '>', 100, 'its transactions were done: ' . ($done // 'none'));
	is($failed, 0, 'none of them failed');
}

# A hundred sessions that stay where they are, each at its own moment, in a transaction of its own.
my @sessions;
for my $row (@rows)
{
	my ($n, $time) = split /\|/, $row;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query("SET strata.travel_time = '$time'; BEGIN; SELECT count(*) FROM t;");
	push @sessions, [ $session, $n ];
}
$node->safe_psql('postgres', 'DROP TABLE t');
$node->safe_psql('postgres', 'VACUUM');
my @wrong = grep { $_->[0]->query('SELECT count(*), max(a) FROM t; COMMIT') ne 10 * $_->[1] . '|' . (10 * $_->[1] + 10) } @sessions;
is(scalar @wrong, 0, 'a hundred open transactions at a hundred moments each see their own, after DROP TABLE');
is($node->safe_psql('postgres', "SELECT count(*) > 100 FROM pg_stat_activity WHERE backend_type = 'client backend'"), 't', 'they are all there');
$_->[0]->quit for @sessions;

no_mismatch($node);
log_is_clean($node);
unlike(slurp_file($node->logfile), qr/ FATAL: /, 'no session ended with a FATAL error');
$node->stop;
done_testing();
