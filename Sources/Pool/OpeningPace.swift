public import Primitives

/// How fast a pool opens servers: one until a login has worked, then many at once, and one at a time again
/// after a failure, so that a PostgreSQL that is just coming up is not stormed.
public struct OpeningPace: Sendable {
    /// Logins under way at once in a pool: before one has worked, after the first, and at most.
    public static let firstWindow = 1
    public static let provenWindow = 4
    public static let widestWindow = 32

    private var window = OpeningPace.firstWindow
    /// When the last attempt failed, if no attempt has worked since.
    public private(set) var failedAt: Instant?

    public init() {}

    public var isFailing: Bool { failedAt != nil }

    public mutating func loginWorked() {
        window = min(max(window * 2, Self.provenWindow), Self.widestWindow)
        failedAt = nil
    }

    public mutating func loginFailed(now: Instant) {
        window = Self.firstWindow
        failedAt = now
    }

    /// How many more logins may start now, given those under way.
    public func room(opening: Int, retry: TimeSpan, now: Instant) -> Int {
        if let failedAt {
            return now >= failedAt + retry && opening == 0 ? 1 : 0
        }
        return max(0, window - opening)
    }

    /// When a failing pool may try again.
    public func nextAttempt(retry: TimeSpan) -> Instant? { failedAt.map { $0 + retry } }
}
