package import Primitives

/// How fast a pool opens servers: many at once while that works, one at a time after a failure, so that a
/// PostgreSQL that is just coming up is not stormed.
package struct OpeningPace: Sendable {
    /// Logins under way at once in a pool, at first and at most.
    package static let firstWindow = 4
    package static let widestWindow = 32

    private var window = OpeningPace.firstWindow
    /// When the last attempt failed, if no attempt has worked since.
    package private(set) var failedAt: Instant?

    package init() {}

    package var isFailing: Bool { failedAt != nil }

    package mutating func loginWorked() {
        window = min(window * 2, Self.widestWindow)
        failedAt = nil
    }

    package mutating func loginFailed(now: Instant) {
        window = Self.firstWindow
        failedAt = now
    }

    /// How many more logins may start now, given those under way.
    package func room(opening: Int, retry: TimeSpan, now: Instant) -> Int {
        if let failedAt {
            return now >= failedAt + retry && opening == 0 ? 1 : 0
        }
        return max(0, window - opening)
    }

    /// When a failing pool may try again.
    package func nextAttempt(retry: TimeSpan) -> Instant? { failedAt.map { $0 + retry } }
}
