# Every page image of wal_consistency_checking equals the page rebuilt at its LSN: a short form of test/oracle.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataConsistency;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $seed = $ENV{ORACLE_SEED} // 20261122;
my $clients = $ENV{ORACLE_CLIENTS} // 3;
my $steps = $ENV{ORACLE_STEPS} // 60;
diag("seed $seed: repeat with ORACLE_SEED=$seed ORACLE_CLIENTS=$clients ORACLE_STEPS=$steps");

my $node = new_observed_node('consistency', workload_conf(), wal_consistency_checking => "'all'");
prepare_workload($node);
my $begin = lsn_in($node);
# PostgreSQL logs the visibility map of such a database without its bits, and recovery does not have them either.
$node->safe_psql('postgres', 'VACUUM; CREATE DATABASE logged STRATEGY wal_log');
$node->safe_psql('logged', 'CREATE TABLE t (i int); CREATE TYPE c AS (a int)');
run_scripts($node, workload_scripts($seed, $clients, $steps));
my ($summary, $mismatches, undef, $rows) = check_wal($node, $begin, sub { note($_[0]) });
diag($summary);
is($mismatches, '', 'every image that PostgreSQL put into WAL to be compared equals the page rebuilt at that LSN');

my @known = sort map { /^([^#\t]+)\t([^\t]+)/ ? "$1 $2" : () } split /\n/, slurp_file("$ENV{STRATA_SOURCE}/test/oracle/record_types.tsv");
is_deeply([ sort map { "$_->[0] $_->[1]" } @$rows ], \@known, 'test/oracle/record_types.tsv has every type of record of this PostgreSQL');

log_is_clean($node);
$node->stop;
done_testing();
