package definition

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/store"
)

// versions lists the versions of a definition, newest first, without their text; also of one that was
// withdrawn.
func (s *Service) versions(ctx context.Context, in api.VersionsIn) (p api.Page[api.Definition], err error) {
	before := 1 << 30
	if in.Cursor != "" {
		_, n, err := readCursor(in.Cursor)
		if _, bad := fmt.Sscanf(n, "%d", &before); err != nil || bad != nil {
			return p, errs.New(errs.Invalid, "the cursor is not one that a list gave").WithHint("leave it out to begin at the newest")
		}
	}
	rows, err := s.d.DB.Query(ctx, `SELECT `+columns+`, v.note FROM definition_versions v
		WHERE v.namespace = ? AND v.kind = ? AND v.name = ? AND v.version < ? ORDER BY v.version DESC LIMIT ?`, in.Namespace, in.Kind, in.Name, before, in.Size()+1)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	for rows.Next() {
		var note string
		d, err := scan(rows, &note)
		if err != nil {
			return p, err
		}
		d.Note = note
		p.Items = append(p.Items, d)
	}
	if err := rows.Err(); err != nil {
		return p, err
	}
	if len(p.Items) == 0 && in.Cursor == "" {
		return p, s.missing(ctx, api.GetDefinitionIn{NS: in.NS, Kind: in.Kind, Name: in.Name})
	}
	if len(p.Items) > in.Size() {
		p.Items = p.Items[:in.Size()]
		p.Cursor = cursor("v", fmt.Sprint(p.Items[in.Size()-1].Version))
	}
	return p, nil
}

// diff compares the texts of two versions.
func (s *Service) diff(ctx context.Context, in api.DiffIn) (out api.Diff, err error) {
	to, err := s.get(ctx, api.GetDefinitionIn{NS: in.NS, Kind: in.Kind, Name: in.Name, Version: in.To})
	if err != nil {
		return out, err
	}
	out.To, out.From = to.Version, in.From
	before := api.Definition{}
	if out.From == 0 {
		out.From = to.Version - 1
	}
	if out.From > 0 {
		if before, err = s.get(ctx, api.GetDefinitionIn{NS: in.NS, Kind: in.Kind, Name: in.Name, Version: out.From}); err != nil {
			return out, err
		}
	}
	name := object(in.Kind, in.Name)
	out.Text, out.Added, out.Removed = document.Diff(fmt.Sprintf("%s version %d", name, out.From), fmt.Sprintf("%s version %d", name, out.To), before.Source, to.Source)
	return out, nil
}

// users lists the definitions that use one, in their newest versions. Documents are stored in canonical
// JSON, so that a reference is always written the same.
func (s *Service) users(ctx context.Context, in api.VersionsIn) (p api.Page[api.Definition], err error) {
	if _, err := s.get(ctx, api.GetDefinitionIn{NS: in.NS, Kind: in.Kind, Name: in.Name}); err != nil {
		return p, err
	}
	where, args := []string{}, []any{in.Namespace}
	for _, m := range mentions(in.Kind, in.Name) {
		where, args = append(where, `(v.kind = ? AND v.document LIKE ? ESCAPE '!')`), append(args, m[0], "%"+escape(m[1])+"%")
	}
	if len(where) == 0 {
		return p, nil
	}
	rows, err := s.d.DB.Query(ctx, `SELECT `+columns+` FROM definition_heads h JOIN definition_versions v
		ON v.namespace = h.namespace AND v.kind = h.kind AND v.name = h.name AND v.version = h.version
		WHERE h.namespace = ? AND h.deleted = 0 AND (`+strings.Join(where, " OR ")+`) ORDER BY h.kind, h.name LIMIT 1000`, args...)
	if err != nil {
		return p, store.NoRow(err, "no definitions")
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scan(rows)
		if err != nil {
			return p, err
		}
		p.Items = append(p.Items, d)
	}
	return p, rows.Err()
}

// mentions are the ways in which documents of other kinds mention a definition, as kind and text.
func mentions(kind, name string) [][2]string {
	pair := func(key, value string) string {
		v, _ := json.Marshal(value) // text
		return `"` + key + `":` + string(v)
	}
	switch kind {
	case api.KindWorkflow:
		return [][2]string{{api.KindWorkflow, pair("use", "workflow:"+name)}, {api.KindResourceType, pair("workflow", name)}, {api.KindResourceType, pair("use", name)}}
	case api.KindTaskType:
		return [][2]string{{api.KindWorkflow, pair("use", name)}}
	case api.KindResourceType:
		return [][2]string{{api.KindPreset, pair("of", name)}}
	}
	return nil
}

// escape makes text stand for itself in LIKE.
func escape(s string) string { return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) }
