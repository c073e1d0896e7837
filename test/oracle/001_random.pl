# The seeded random workload.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $workload = sub { my ($node, undef, $seed) = @_; run_scripts($node, workload_scripts($seed, 4, 300)); };
pitr_test('random', $workload, prepare => \&prepare_workload, records => 60, commits => 6);
wal_test('random', $workload, prepare => \&prepare_workload);
done_testing();
