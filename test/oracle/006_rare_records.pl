# Records that the suites write seldom or never.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StrataConsistency;
use StrataOracle;
use StrataRareRecords;
use Test::More;

my $workload = sub { my ($node, $oracle) = @_; rare_records($node, $oracle); };
my %conf = rare_records_conf();
pitr_test('rare', $workload, conf => \%conf, anywhere => 4, odd => 14, commits => 1, groups => 11);
wal_test('rare', $workload, conf => \%conf);
done_testing();
