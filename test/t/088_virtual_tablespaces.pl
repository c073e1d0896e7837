# Numbers that stand for moments never meet a tablespace of the cluster, nor each other: no write of the present is lost.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $first = 0xE0000000;
my $node = new_node('numbers', start => 0, strata_enabled => 'off', allow_in_place_tablespaces => 'on', shared_buffers => "'16MB'");
$node->start;
$node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION set_next_oid(oid) RETURNS void AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_next_oid', 'strata_test_set_next_oid' LANGUAGE c;
CREATE FUNCTION set_next_number(oid, bigint) RETURNS boolean
  AS '$ENV{STRATA_TEST_LIBRARIES}/strata_test_moment_numbers', 'strata_test_set_next_moment_number' LANGUAGE c;
SQL

# While strata is off, the OID counter gets there.
$node->safe_psql('postgres', $_) for ('SELECT set_next_oid(' . ($first + 1) . ')', q{CREATE TABLESPACE high LOCATION ''}, 'SELECT set_next_oid(100000)');
is($node->safe_psql('postgres', q{SELECT oid FROM pg_tablespace WHERE spcname = 'high'}), $first + 1, 'a tablespace has a number of history');
$node->append_conf('postgresql.conf', 'strata_enabled = on');
$node->restart;
wait_for_history($node);
$node->safe_psql('postgres', 'CREATE EXTENSION strata');

# The present writes there.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE there TABLESPACE high AS SELECT i, repeat('x', 500) AS x FROM generate_series(1, 5000) i;
CREATE TABLE here (a int);
CHECKPOINT;
UPDATE there SET x = repeat('y', 500);
CHECKPOINT;
SQL
my $sum = "SELECT count(*), count(*) FILTER (WHERE x LIKE 'y%') FROM there";
is($node->safe_psql('postgres', $sum), '5000|5000', 'what the present writes there');
$node->restart;
wait_for_history($node);
is($node->safe_psql('postgres', $sum), '5000|5000', 'is still there after a restart');
$node->safe_psql('postgres', q{UPDATE there SET x = repeat('z', 500)});
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE x LIKE 'z%') FROM there}), '5000', 'and after a crash');
wait_for_history($node);

# Nobody reads it as history.
my $then = now_in($node);
$node->safe_psql('postgres', 'INSERT INTO here VALUES (1); DELETE FROM there WHERE i > 10');
is(at($node, $then, 'SELECT count(*) FROM here'), '0', 'what lies elsewhere can be travelled to');
like(at_error($node, $then, $sum), qr/ERROR:  54000: cannot travel to what lies in the tablespace with OID \d+\n.*HINT:  The present is not affected/s,
	'what lies there is an error, with the present untouched');

# A number that a tablespace has is not given out, nor one that another moment has.
my $bytes = $node->safe_psql('postgres', q{SELECT size FROM pg_shmem_allocations WHERE name = 'strata moments'});
my @moments = ($then);
for my $n (2 .. 4)
{
	$node->safe_psql('postgres', "INSERT INTO here VALUES ($n)");
	push @moments, now_in($node);
}
is($node->safe_psql('postgres', "SELECT set_next_number(0, $bytes)"), 't', 'numbers begin anew');
my @sessions;
for my $n (0 .. $#moments)
{
	push @sessions, traveller($node, $moments[$n]);
	is($sessions[-1]->query_safe('SELECT count(*) FROM here'), $n == 0 ? 0 : $n + 1, "a session travels to moment $n");
}
$node->safe_psql('postgres', "SELECT set_next_number(0, $bytes)");
for my $n (reverse 0 .. $#moments)
{
	my $other = at($node, $moments[$n], 'SELECT count(*) FROM here');
	is($other, $n == 0 ? 0 : $n + 1, "after the numbers wrapped another session sees the rows of moment $n");
}
$node->safe_psql('postgres', 'INSERT INTO here VALUES (5)');
my $late = now_in($node);
is(at($node, $late, 'SELECT count(*) FROM here'), 5, 'a moment that is new then has its own rows');
is($sessions[$_]->query_safe('SELECT count(*) FROM here'), $_ == 0 ? 0 : $_ + 1, "and moment $_ keeps its rows") for 0 .. $#moments;
$_->quit for @sessions;

# While strata is on, none is made.
$node->safe_psql('postgres', 'SELECT set_next_oid(' . ($first + 100) . ')');
my (undef, $error) = try_sql($node, q{CREATE TABLESPACE higher LOCATION ''});
like($error, qr/ERROR:  54000: cannot create a tablespace with OID \d+: it stands for a moment of history\n.*HINT:/s, 'a tablespace with such a number is refused');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_tablespace WHERE spcname = 'higher'}), 0, 'and not made');
$node->safe_psql('postgres', 'SELECT set_next_oid(200000)');
$node->safe_psql('postgres', q{CREATE TABLESPACE higher LOCATION ''});
$node->safe_psql('postgres', 'ALTER TABLE there SET TABLESPACE higher');
$then = now_in($node);
$node->safe_psql('postgres', 'TRUNCATE there');
is(at($node, $then, 'SELECT count(*) FROM there'), 10, 'what was moved away can be travelled to from then on');
no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
