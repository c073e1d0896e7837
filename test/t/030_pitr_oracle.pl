# The past is what point-in-time recovery makes of it: a short form of test/oracle.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $seed = $ENV{ORACLE_SEED} // 20261122;
my $count = $ENV{ORACLE_POINTS} // 9;
my $clients = $ENV{ORACLE_CLIENTS} // 3;
my $steps = $ENV{ORACLE_STEPS} // 60;
diag("seed $seed: repeat with ORACLE_SEED=$seed ORACLE_POINTS=$count ORACLE_CLIENTS=$clients ORACLE_STEPS=$steps");

my $node = new_observed_node('oracle', workload_conf());
prepare_workload($node);
my $oracle = StrataOracle->begin($node);
run_scripts($node, workload_scripts($seed, $clients, $steps));

my $half = int(($count + 1) / 2);
$oracle->choose_points($seed, anywhere => $half, odd => $count - $half, commits => int($count / 9));
my @differences = $oracle->compare(sub { note($_[0]) });
diag($oracle->summary);
is(join("\n", splice(@differences, 0, 20)), '', 'at every point a travelling session sees what point-in-time recovery leaves');

# pg_walinspect finds no record behind a switch of WAL files.
log_is_clean($node, 'could not find a valid record|pg_get_wal_record_info');
$node->stop;
done_testing();
