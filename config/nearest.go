package config

// nearest is the known variable that name was most likely meant to be, or empty if none is close.
func (v *variables) nearest(name string) string {
	// Beyond a third of the letters that matter it would be a guess.
	best, bestDistance := "", 1+(len(name)-len("OLYMPUS_"))/3
	for known := range v.known {
		d := distance(name, known)
		if d < bestDistance || d == bestDistance && best != "" && known < best {
			best, bestDistance = known, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
