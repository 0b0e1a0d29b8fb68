public import Primitives

/// The sizes of one pool. Zero means no limit for `size`, none for the others.
public struct PoolLimits: Equatable, Sendable {
    public var size: Int
    public var minimum: Int
    public var reserve: Int
    public var reserveTimeout: TimeSpan
    public var loginRetry: TimeSpan

    public init(size: Int, minimum: Int, reserve: Int, reserveTimeout: TimeSpan, loginRetry: TimeSpan) {
        self.size = size
        self.minimum = minimum
        self.reserve = reserve
        self.reserveTimeout = reserveTimeout
        self.loginRetry = loginRetry
    }
}

/// What a pool should open now, and when to ask again if time alone could change the answer.
public struct OpeningPlan: Equatable, Sendable {
    public var openings: Int
    /// Of these, how many exceed the pool's size and come from its reserve.
    public var fromReserve: Int
    public var askAgain: Instant?
}

extension PoolLimits {
    /// Decides how many servers to open.
    ///
    /// - waiting: clients in line; `oldestWait`: since when the first of them waits.
    /// - upkeep: whether `min_pool_size` is to be kept up (the pool has clients, or a forced user).
    public func plan(
        _ lists: ServerLists, _ pace: OpeningPace, waiting: Int, oldestWait: Instant?, upkeep: Bool,
        now: Instant
    ) -> OpeningPlan {
        var plan = OpeningPlan(openings: 0, fromReserve: 0, askAgain: nil)
        let sessions = lists.sessions
        let opening = lists[.opening].count
        // Servers that are about to be free for somebody in line.
        let coming = opening + lists[.testing].count
        let demand = waiting - coming
        let upkeepDemand = upkeep ? max(0, minimum - sessions) : 0
        guard demand > 0 || upkeepDemand > 0 else { return plan }

        let room = size == 0 ? Int.max : max(0, size - sessions)
        var wanted = min(max(demand, upkeepDemand), room)
        if demand > 0, wanted < demand, reserve > 0, !reserveTimeout.isZero, let oldestWait {
            let due = oldestWait + reserveTimeout
            if now >= due {
                let extra = min(demand - wanted, max(0, size + reserve - max(sessions, size)))
                plan.fromReserve = extra
                wanted += extra
            } else {
                plan.askAgain = due
            }
        }
        guard wanted > 0 else { return plan }
        let paced = pace.room(opening: opening, retry: loginRetry, now: now)
        if paced == 0, let next = pace.nextAttempt(retry: loginRetry), opening == 0 {
            plan.askAgain = min(plan.askAgain ?? .never, next)
        }
        plan.openings = min(wanted, paced)
        plan.fromReserve = max(0, plan.openings - min(room, plan.openings))
        return plan
    }
}
