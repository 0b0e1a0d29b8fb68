import Primitives

/// What a pool has to do with other workers. Empty with one worker.
struct Loans {
    /// Clients in line for it, here or elsewhere, as far as they have been told of.
    struct Waiting: Equatable {
        var count = 0
        var since = Instant.never
        /// Of lines elsewhere: servers here beyond our share.
        var surplus = 0
    }

    /// What the keeper knows of one mate.
    struct Mate {
        /// Servers there, or on their way there or back.
        var lent = 0
        var line = Waiting()
        /// Since when those behind the first in its line wait, as far as it has told.
        var behind: [Instant] = []
        /// It has been asked for spare servers and has not answered yet; when that was.
        var isAsked = false
        var askedAt = Instant.zero
        /// What it believes of lines elsewhere; `nil` when that is not known.
        var told: Waiting? = Waiting()
        /// How many servers it has been told to close.
        var shed = 0

        /// The first in its line has been sent a server: the next is the first now.
        mutating func servedFirst() {
            guard line.count > 0 else { return }
            line.count -= 1
            guard !behind.isEmpty else { return }
            line.since = max(line.since, behind.removeFirst())
        }
    }

    /// It is looked at once a `lineReportPeriod`.
    var isWatched = false
    /// Servers given away in this period although somebody waits here.
    var given = 0

    // At the keeper.

    /// One for each mate, in order; made with the first letter about the pool.
    var mates: [Mate] = []
    /// Servers that come home from an earlier era are replaced.
    var retiredBefore: UInt64 = 0
    /// Servers elsewhere that RECONNECT or RELOAD replaces.
    var retiringElsewhere = 0
    var roomAskedAt = Instant.zero

    // At a mate.

    /// What the keeper has been told of the line here.
    var reported = Waiting()
    /// Who waits elsewhere.
    var rivals = Waiting()
    /// Servers to close as they become free.
    var surplus = 0
}

/// Room that a pool needs under a limit it shares with others: a mate closes the next idle server of this
/// database or this user.
struct RoomWanted {
    var database: ByteString?
    var user: ByteString?
    var until: Instant
}
