# Mounts directories with their owners' ids mapped to another range (mount_setattr(2), Linux 5.12 and later), which mount(8)
# can do from util-linux 2.39 on only, and overlays made of such directories.
#
# perl mount-mapped.pl UNSHARE MOUNT UMOUNT SETNS SETHOSTNAME
#
# The arguments are the numbers of these system calls. Requests come on stdin until it ends, each as the number of its
# fields and the fields, all ended by a NUL:
#   FROM TO COUNT (bind SOURCE TARGET | overlay TARGET SCRATCH LAYERS COUNT LOWER... |
#     inside PID SOURCE TARGET UID HOSTNAME)...
# and are answered in order by a line: ok, or what went wrong. Ids FROM… on disk appear as TO…; the host's root stays
# itself, for the overlay makes entries in its work directory as root.
use strict;
use warnings;
use POSIX ();

use constant { AT_FDCWD => -100, OPEN_TREE_CLONE => 1, CLOEXEC => 02000000, AT_EMPTY_PATH => 0x1000 };
use constant { MOUNT_ATTR_IDMAP => 0x00100000, MOVE_MOUNT_F_EMPTY_PATH => 4, CLONE_NEWUSER => 0x10000000 };
use constant { MS_NOSUID => 2, MS_NODEV => 4, MNT_DETACH => 2 };
# The same on every architecture.
use constant { OPEN_TREE => 428, MOVE_MOUNT => 429, MOUNT_SETATTR => 442 };

my ($unshare, $mount, $umount, $setns, $sethostname) = @ARGV;
my ($from, $to, $count, $range);
$| = 1;
$/ = "\0";
while (defined(my $fields = <STDIN>)) {
    chomp $fields;
    my @jobs = map { my $field = <STDIN> // ''; chomp $field; $field } 1 .. $fields;
    my $problem = eval { work(@jobs); 1 } ? 'ok' : $@;
    $problem =~ s/\s+/ /g;
    print "$problem\n";
}

sub work {
    ($from, $to, $count, my @jobs) = @_;
    undef $range;
    while (my $job = shift @jobs) {
        if ($job eq 'bind') { mapped(splice @jobs, 0, 2) }
        elsif ($job eq 'overlay') { overlay(splice @jobs, 0, 4 + $jobs[3]) }
        elsif ($job eq 'inside') { inside(splice @jobs, 0, 5) }
        else { die "unknown job $job\n" }
    }
}

# A user namespace lives for as long as someone holds it; the child is only there to make one.
sub user_namespace {
    pipe(my $made, my $tell_made) && pipe(my $done, my $tell_done) or die "pipe: $!\n";
    my $child = fork() // die "fork: $!\n";
    if ($child == 0) {
        close $made; close $tell_done;
        syscall($unshare + 0, CLONE_NEWUSER) == 0 or POSIX::_exit(1);
        syswrite $tell_made, 'x';
        sysread $done, my $end, 1;
        POSIX::_exit(0);
    }
    close $tell_made; close $done;
    sysread($made, my $sign, 1) or die "no user namespace can be made\n";
    for my $kind ('uid', 'gid') {
        open my $map, '>', "/proc/$child/${kind}_map" or die "${kind}_map: $!\n";
        syswrite $map, "0 0 1\n$from $to $count\n" or die "${kind}_map: $!\n";
    }
    open my $namespace, '<', "/proc/$child/ns/user" or die "user namespace: $!\n";
    close $tell_done;
    waitpid $child, 0;
    return $namespace;
}

sub mapped {
    my ($source, $target) = @_;
    $range //= user_namespace();
    my $empty = '';
    my $tree = syscall(OPEN_TREE, AT_FDCWD, "$source", OPEN_TREE_CLONE | CLOEXEC);
    die "open_tree $source: $!\n" if $tree < 0;
    my $attributes = pack 'QQQQ', MOUNT_ATTR_IDMAP, 0, 0, fileno $range;
    syscall(MOUNT_SETATTR, $tree, $empty, AT_EMPTY_PATH, $attributes, length $attributes) == 0
        or die "mount_setattr $source: $!\n";
    syscall(MOVE_MOUNT, $tree, $empty, AT_FDCWD, "$target", MOVE_MOUNT_F_EMPTY_PATH) == 0
        or die "move_mount $target: $!\n";
}

# The overlay keeps its layers; the places where they were mounted are needed for a moment only.
sub overlay {
    my ($target, $scratch, $layers, undef, @lowers) = @_;
    my @names = map { "lower$_" } 0 .. $#lowers;
    my @mounted;
    my $is_mounted = eval {
        for my $place (['layers', $layers], map { [$names[$_], $lowers[$_]] } 0 .. $#lowers) {
            mapped($place->[1], "$scratch/$place->[0]");
            push @mounted, $place->[0];
        }
        my ($name, $type) = ('aio', 'overlay');
        # Relative, because containers can read these options, and they are not to learn the host's paths.
        my $options = 'lowerdir=' . join(':', @names) . ',upperdir=layers/upper,workdir=layers/work';
        chdir $scratch or die "chdir $scratch: $!\n";
        syscall($mount + 0, $name, "$target", $type, MS_NOSUID | MS_NODEV, $options) == 0 or die "mount $target: $!\n";
        1;
    };
    my $problem = $@;
    chdir '/';
    syscall($umount + 0, "$scratch/$_", MNT_DETACH) for @mounted;
    die $problem unless $is_mounted;
}

# A child enters the namespaces of a container and attaches there what was opened out here.
sub inside {
    my ($pid, $source, $target, $uid, $hostname) = @_;
    my $tree = syscall(OPEN_TREE, AT_FDCWD, "$source", OPEN_TREE_CLONE | CLOEXEC);
    die "open_tree $source: $!\n" if $tree < 0;
    pipe(my $answer, my $tell) or die "pipe: $!\n";
    my $child = fork() // die "fork: $!\n";
    if ($child == 0) {
        eval { attach($pid, $tree, $target, $uid, $hostname); 1 } or syswrite $tell, $@;
        POSIX::_exit(0);
    }
    close $tell;
    POSIX::close($tree);
    sysread $answer, my $problem, 1000;
    waitpid $child, 0;
    die $problem if $problem;
    die "the child that entered a container ended with $?\n" if $?;
}

sub attach {
    my ($pid, $tree, $target, $uid, $hostname) = @_;
    my ($empty, $name) = ('', $hostname);
    my @spaces = map { open my $space, '<', "/proc/$pid/ns/$_" or die "ns/$_: $!\n"; $space } 'uts', 'mnt';
    syscall($setns + 0, fileno $_, 0) == 0 or die "setns: $!\n" for @spaces;
    syscall($sethostname + 0, $name, length $name) == 0 or die "sethostname: $!\n";
    # The file system knows no root but the container's own.
    $) = "$uid $uid";
    $> = $uid;
    mkdir $target, 0755 or die "mkdir $target: $!\n";
    $> = 0;
    $) = '0 0';
    syscall(MOVE_MOUNT, $tree, $empty, AT_FDCWD, "$target", MOVE_MOUNT_F_EMPTY_PATH) == 0
        or die "move_mount $target: $!\n";
}
