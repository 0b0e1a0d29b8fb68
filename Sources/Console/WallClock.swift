package import Primitives
import Session

/// Wall-clock times computed from the monotonic clock: the pure code never asks the system.
package struct WallClock: Equatable, Sendable {
    /// Seconds since 1970, and the monotonic instant of the same moment.
    package var startSeconds: Double
    package var startInstant: Instant
    /// What the local zone is ahead of UTC, in seconds (west of Greenwich it is negative), and its short
    /// name.
    package var zoneOffsetSeconds: Int
    package var zoneName: ByteString

    package init(
        startSeconds: Double, startInstant: Instant, zoneOffsetSeconds: Int = 0, zoneName: ByteString = "UTC"
    ) {
        self.startSeconds = startSeconds
        self.startInstant = startInstant
        self.zoneOffsetSeconds = zoneOffsetSeconds
        self.zoneName = zoneName
    }

    /// `YYYY-MM-DD HH:MM:SS TZ`.
    func text(_ instant: Instant) -> ByteString {
        let offset = max(-86_400, min(86_400, zoneOffsetSeconds))
        let start = startSeconds > 0 ? min(startSeconds, 1e11) : 0
        let seconds = Int(start + instant.since(startInstant).fractionalSeconds) + offset
        let (days, time) = Self.divided(seconds, by: 86_400)
        let (year, month, day) = Self.civil(days)
        let date = "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))"
        let clock =
            "\(Self.padded(time / 3600, 2)):\(Self.padded(time / 60 % 60, 2)):\(Self.padded(time % 60, 2))"
        return ByteString("\(date) \(clock) ").appending(zoneName)
    }

    /// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
    ///
    /// Years are counted from March, so that the leap day is the last one; 400 years have 146 097 days.
    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = divided(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// Quotient and remainder; the remainder is never negative.
    private static func divided(_ value: Int, by divisor: Int) -> (Int, Int) {
        let remainder = value % divisor
        return remainder < 0 ? (value / divisor - 1, remainder + divisor) : (value / divisor, remainder)
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
