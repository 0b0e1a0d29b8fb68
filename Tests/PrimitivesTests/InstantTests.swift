import Primitives
import Testing

@Suite struct InstantTests {
    @Test func timeNeverOverflows() {
        let late = Instant(nanoseconds: .max - 5)
        #expect(late + TimeSpan(nanoseconds: 5) == .never)
        #expect(late + TimeSpan(nanoseconds: 6) == .never)
        #expect(Instant.never + .seconds(1) == .never)
        #expect(Instant.zero + TimeSpan(nanoseconds: 7) == Instant(nanoseconds: 7))
        #expect(Instant.never.since(.zero) == TimeSpan(nanoseconds: .max))
        #expect(Instant.zero.since(late) == .zero)
    }

    @Test(
        arguments: [
            (-1, 0), (0, 0), (1, 1_000_000_000), (Int.max, Int64.max), (Int.min, 0),
        ] as [(Int, Int64)])
    func secondsAreClamped(_ seconds: Int, _ nanoseconds: Int64) {
        #expect(TimeSpan.seconds(seconds).nanoseconds == nanoseconds)
    }

    @Test(
        arguments: [
            (.nan, 0), (-1.5, 0), (0, 0), (0.25, 250_000_000), (1e300, Int64.max), (.infinity, .max),
            (9.2e9, .max),
        ] as [(Double, Int64)])
    func fractionsAreClamped(_ seconds: Double, _ nanoseconds: Int64) {
        #expect(TimeSpan.seconds(seconds).nanoseconds == nanoseconds)
    }

    @Test func spansAreNeverNegative() {
        #expect(TimeSpan(nanoseconds: -1) == .zero)
        #expect(TimeSpan(nanoseconds: .min).isZero)
        #expect(TimeSpan.milliseconds(1500).wholeSeconds == 1)
        #expect(TimeSpan.microseconds(1500).wholeMicroseconds == 1500)
        #expect(TimeSpan.milliseconds(Int.max).nanoseconds == .max)
    }
}
