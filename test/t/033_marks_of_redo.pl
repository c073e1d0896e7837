# Redo marks a GiST page from which an insertion deleted dead items, and the server that wrote the record does not mark it:
# the page oracles do not take that for a difference.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataConsistency;
use StrataOracle;
use Test::More;

my $node = new_observed_node('marks', wal_consistency_checking => "'gist'");
my $begin = lsn_in($node);
$node->safe_psql('postgres', $_) for (<<'SQL', 'DELETE FROM s WHERE id < 1500', <<'SQL');
CREATE TABLE s (id int, p point);
CREATE INDEX s_p ON s USING gist (p);
INSERT INTO s SELECT i, point(i, i % 10) FROM generate_series(1, 5000) i;
SQL
SET enable_seqscan = off;
SET enable_bitmapscan = off;
-- Finds the items of deleted rows dead, and says so on their pages.
SELECT count(*) FROM s WHERE p <@ box(point(-1, -1), point(1600, 20));
INSERT INTO s SELECT i, point(i % 1500, i % 10) FROM generate_series(1, 1600) i;
SQL
my (undef, $mismatches, undef, $rows) = check_wal($node, $begin, sub { note($_[0]) });
my ($deletions) = grep { $_->[0] eq 'Gist' && $_->[1] eq 'DELETE' } @$rows;
cmp_ok($deletions->[4], '>', 0, 'an insertion deleted dead items');
is($mismatches, '', 'the pages rebuilt after that equal the images in WAL');
no_mismatch($node, 'and those of the present');

log_is_clean($node);
$node->stop;
done_testing();
