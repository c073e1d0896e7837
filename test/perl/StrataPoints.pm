# Where a stretch of WAL is worth a look: LSNs at which records end, and times around commits.
#
# An object of this class reads the records between two LSNs once. Points are pairs of a value (LSN or time) and what
# happens there.
package StrataPoints;

use strict;
use warnings;

# Kinds of records that change more than a page, or what is not a page.
my $odd_managers = q{'Storage', 'Database', 'Transaction', 'RelMap', 'Tablespace', 'CLOG', 'MultiXact', 'CommitTs', 'ReplicationOrigin', 'XLOG'};
my $odd_types = 'SPLIT|VACUUM|TRUNCATE|NEWROOT|UNLINK|VISIBLE|LOCK|CONFIRM|INPLACE|META|MULTI|REWRITE|NEW_CID';

# REQUIRES: pg_walinspect in the database postgres; $to is flushed.
sub new
{
	my ($class, $node, $from, $to) = @_;
	my $rows = $node->safe_psql('postgres', <<"SQL");
SELECT start_lsn, end_lsn, resource_manager, record_type,
       CASE WHEN resource_manager = 'Transaction' AND record_type ~ '^(COMMIT|ABORT)'
            THEN substring(description FROM '20[0-9-]+ [0-9:.]+[+]00')
            WHEN record_type = 'RUNNING_XACTS' THEN substring(description FROM 'nextXid (\\d+)')
            WHEN record_type = 'ASSIGNMENT'
            THEN (SELECT (max(xid[1]::bigint) + 1)::text FROM regexp_matches(description, '\\d+', 'g') xid) END
FROM pg_get_wal_records_info('$from', '$to')
WHERE resource_manager IN ($odd_managers) OR record_type IN ('RUNNING_XACTS', 'ASSIGNMENT') OR record_type ~ '$odd_types'
SQL
	my $self = { node => $node, from => $from, kinds => {}, ends => [], end_lsns => [], observed => [] };
	for my $row (split /\n/, $rows)
	{
		my ($start, $end, $manager, $type, $value) = split /\|/, $row;
		push @{ $self->{kinds}{"before $manager $type"} }, $start;
		push @{ $self->{kinds}{"after $manager $type"} }, $end;
		push @{ $self->{observed} }, [ number_of_lsn($end), $value ] if $type =~ /^(RUNNING_XACTS|ASSIGNMENT)$/;
		next if $type !~ /^(COMMIT|ABORT)/ || !$value;
		push @{ $self->{ends} }, $value;
		push @{ $self->{end_lsns} }, $end;
	}
	$self->{bytes} = $node->safe_psql('postgres', "SELECT ('$to'::pg_lsn - '$from'::pg_lsn)::bigint");
	return bless $self, $class;
}

sub number_of_lsn
{
	my ($high, $low) = split m{/}, $_[0];
	return hex($high) * 4294967296.0 + hex($low);
}

# Ends of $count records anywhere.
sub anywhere
{
	my ($self, $count, $rand) = @_;
	my @points;
	while (@points < $count)
	{
		my $offset = int $rand->($self->{bytes} * 0.999);
		# Behind a switch to the next file there is no record for a while.
		my ($status, $row) = $self->{node}->psql('postgres', <<"SQL");
SELECT end_lsn, 'after ' || resource_manager || ' ' || record_type FROM pg_get_wal_record_info('$self->{from}'::pg_lsn + $offset)
SQL
		push @points, [ split(/\|/, $row, 2) ] if $status == 0;
	}
	return @points;
}

# Just before or after $count records that change more than a page. First a kind of record is chosen, then one of that
# kind: commits are many, creations of databases few.
sub around_odd_records
{
	my ($self, $count, $rand) = @_;
	my @kinds = sort keys %{ $self->{kinds} };
	my @points;
	for (1 .. $count)
	{
		my $kind = $kinds[ int $rand->(scalar @kinds) ];
		my $lsns = $self->{kinds}{$kind};
		push @points, [ $lsns->[ int $rand->(scalar @$lsns) ], $kind ];
	}
	return @points;
}

# At the timestamps of $count commits or aborts, one microsecond before and after.
sub around_commits
{
	my ($self, $count, $rand) = @_;
	my @points;
	for (1 .. $count)
	{
		# None later than the last point of WAL that is sure to be archived.
		my $time = $self->{ends}[ int $rand->(@{ $self->{ends} } * 0.98) ];
		push @points, map { [ $self->_shifted($time, $_), sprintf('%+d us from a commit', $_) ] } -1, 0, 1;
	}
	return @points;
}

# For $count commits or aborts whose timestamp is earlier than one before them in WAL: at their timestamp, and at the
# latest before them. Returns as many as there are.
sub out_of_order
{
	my ($self, $count, $rand) = @_;
	my (@inversions, @points);
	my $latest = '';
	my @ends = map { _sortable($_) } @{ $self->{ends} };
	for my $i (0 .. int($#ends * 0.98))
	{
		push @inversions, [ $ends[$i], $latest ] if $ends[$i] lt $latest;
		$latest = $ends[$i] if $ends[$i] gt $latest;
	}
	$self->{inversions} = @inversions;
	for (1 .. ($count < @inversions ? $count : @inversions))
	{
		my ($inversion) = splice(@inversions, int $rand->(scalar @inversions), 1);
		push @points, [ $self->_shifted($inversion->[0], 0), 'at a commit that follows a later one' ],
		  [ $self->_shifted($inversion->[1], 0), 'at a commit that comes before an earlier one' ];
	}
	return @points;
}

# The LSN that a time stands for: where the last commit or abort record ends before the first one with a later timestamp.
# Undefined where that one lies before the stretch.
sub last_end_at
{
	my ($self, $time) = @_;
	my $wanted = _sortable($time);
	my $last;
	for my $i (0 .. $#{ $self->{ends} })
	{
		last if _sortable($self->{ends}[$i]) gt $wanted;
		$last = $self->{end_lsns}[$i];
	}
	return $last;
}

# Trailing zeroes of the microseconds are not printed everywhere.
sub _sortable
{
	my ($time) = @_;
	my ($seconds, $micro) = $time =~ /^([^.+]+)(?:[.](\d+))?/;
	return sprintf('%s.%s+00', $seconds, substr(($micro // '') . '000000', 0, 6));
}

sub _shifted
{
	my ($self, $time, $micro) = @_;
	return $self->{node}->safe_psql('postgres', "SELECT '$time'::timestamptz + interval '$micro us'");
}

# The highest next transaction ID that a hot standby takes from RUNNING_XACTS and ASSIGNMENT records up to an LSN; 0 where
# there is none.
sub next_xid_of_standby
{
	my ($self, $lsn) = @_;
	my $highest = 0;
	for my $row (@{ $self->{observed} })
	{
		$highest = $row->[1] if $row->[0] <= number_of_lsn($lsn) && $row->[1] > $highest;
	}
	return $highest;
}

1;
