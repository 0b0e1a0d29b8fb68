/// A point on the monotonic clock, in nanoseconds since an arbitrary start. Time is always an argument.
@frozen
public struct Instant: Comparable, Hashable, BitwiseCopyable, Sendable {
    public var nanoseconds: UInt64
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Before every other instant.
    public static let zero = Instant(nanoseconds: 0)
    /// Never comes.
    public static let never = Instant(nanoseconds: .max)

    @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Later by a span; a span too long to add means never.
    @inlinable
    public static func + (instant: Instant, span: TimeSpan) -> Instant {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(UInt64(clamping: span.nanoseconds))
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// Time gone by since an earlier instant; zero when that one lies ahead.
    @inlinable
    public func since(_ earlier: Instant) -> TimeSpan {
        nanoseconds > earlier.nanoseconds
            ? TimeSpan(nanoseconds: Int64(clamping: nanoseconds &- earlier.nanoseconds)) : .zero
    }
}

/// A length of time. One type for every one of them, so that seconds and microseconds cannot be mixed up.
@frozen
public struct TimeSpan: Comparable, Hashable, BitwiseCopyable, Sendable {
    /// Never negative.
    public let nanoseconds: Int64
    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = max(0, nanoseconds) }

    public static let zero = TimeSpan(nanoseconds: 0)
    public static func seconds(_ count: Int) -> TimeSpan { milliseconds(count.multipliedClamped(by: 1000)) }
    public static func milliseconds(_ count: Int) -> TimeSpan {
        TimeSpan(nanoseconds: Int64(count.multipliedClamped(by: 1_000_000)))
    }
    public static func microseconds(_ count: Int) -> TimeSpan {
        TimeSpan(nanoseconds: Int64(count.multipliedClamped(by: 1000)))
    }
    /// Not-a-number and negative values become zero, too large ones the longest span.
    public static func seconds(_ value: Double) -> TimeSpan {
        guard value > 0 else { return .zero }
        return value >= 9.2e9 ? TimeSpan(nanoseconds: .max) : TimeSpan(nanoseconds: Int64(value * 1e9))
    }

    public var isZero: Bool { nanoseconds == 0 }
    public var wholeSeconds: Int { Int(nanoseconds / 1_000_000_000) }
    public var wholeMicroseconds: Int { Int(nanoseconds / 1000) }
    public var fractionalSeconds: Double { Double(nanoseconds) / 1e9 }

    @inlinable public static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.nanoseconds < b.nanoseconds }
}

extension Int {
    fileprivate func multipliedClamped(by factor: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? (self < 0 ? .min : .max) : product
    }
}
