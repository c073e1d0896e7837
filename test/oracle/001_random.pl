# The seeded random workload.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataConsistency;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $workload = sub { my ($node, undef, $seed) = @_; run_scripts($node, workload_scripts($seed, 4, 300)); };
pitr_test('random', $workload, prepare => \&prepare_workload, anywhere => 28, odd => 28, commits => 5);
wal_test('random', $workload, prepare => \&prepare_workload);
done_testing();
