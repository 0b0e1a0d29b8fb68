import Pool
import Primitives
import Testing

@Suite struct OpeningPaceTests {
    private let start = Instant(nanoseconds: 1)
    private func room(_ pace: OpeningPace, _ opening: Int = 0, after: TimeSpan = .zero) -> Int {
        pace.room(opening: opening, retry: .seconds(15), now: start + after)
    }

    @Test func theWindowDoublesWithEveryLoginUpToItsLimit() {
        var pace = OpeningPace()
        var windows: [Int] = []
        for _ in 0..<6 {
            windows.append(room(pace))
            pace.loginWorked()
        }
        #expect(windows == [1, 4, 8, 16, 32, 32])
        #expect(room(pace, 30) == 2)
        #expect(room(pace, 40) == 0)
    }

    @Test func aFailureMeansOneAtATimeUntilALoginWorks() {
        var pace = OpeningPace()
        pace.loginWorked()
        pace.loginFailed(now: start)
        #expect(pace.isFailing)
        #expect(room(pace, after: TimeSpan(nanoseconds: 14_999_999_999)) == 0)
        #expect(room(pace, after: .seconds(15)) == 1)
        #expect(room(pace, 1, after: .seconds(60)) == 0)
        #expect(pace.nextAttempt(retry: .seconds(15)) == start + .seconds(15))
        pace.loginWorked()
        #expect(!pace.isFailing)
        #expect(pace.nextAttempt(retry: .seconds(15)) == nil)
        #expect(room(pace) == 4)
    }
}
